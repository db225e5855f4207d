"""The torch half of the task kinds: what a network's output means, how it is learned, how members are averaged."""

from __future__ import annotations

from edgekit.heads.head import Aggregate, Head
from edgekit.heads.registry import HEADS
from edgekit.heads.supervision import Supervision

__all__ = ["HEADS", "Aggregate", "Head", "Supervision"]
