"""A procedural UAV world: landscapes, a flight over them, and everything known about every pixel."""

from __future__ import annotations

from edgekit.data.scenes.config import ScenesConfig
from edgekit.data.scenes.source import Scenes

__all__ = ["Scenes", "ScenesConfig"]
