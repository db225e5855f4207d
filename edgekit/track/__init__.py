"""A run shown in another program while it goes on."""
