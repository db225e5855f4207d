"""A board from the workstation: edgekit installed and run there, over the system's own ssh."""
