"""edgekit: from a recipe to a student under one million parameters, and from there to the device."""

__version__ = "0.1.0"


def __getattr__(name: str):
    """``edgekit.load`` is imported when it is asked for, so that the command line starts without numpy."""
    if name == "load":
        from edgekit.runtime.load import load

        return load
    raise AttributeError(f"module 'edgekit' has no attribute '{name}'")
