"""A board's sensors while something is measured: power, temperatures, loads, clocks, power mode."""
