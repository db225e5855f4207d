"""Which frames are worth a label: their quality, what is predicted for them, and what they add to each other."""
