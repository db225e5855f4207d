"""Dronescapes as published: one npz per frame and task, read and written."""

from edgekit.data.dronescapes.config import DronescapesConfig
from edgekit.data.dronescapes.source import Dronescapes

__all__ = ["Dronescapes", "DronescapesConfig"]
