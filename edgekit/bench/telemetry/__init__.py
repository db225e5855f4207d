"""What a board says of itself while something is measured: power, temperatures, loads, clocks, power mode."""
