"""edgekit: from a recipe to a student under one million parameters, and from there to the device."""

__version__ = "0.1.0"
