"""What a lint rule finds about a node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from onnx import NodeProto

from edgekit.boards.table import Board, JetPack
from edgekit.preflight.network import Network

Level = Literal["error", "slow"]


@dataclass(frozen=True)
class Finding:
    """``error``: TensorRT would refuse it. ``slow``: it builds, and runs worse than it could."""

    rule: str
    level: Level
    why: str
    change: str


@dataclass(frozen=True)
class Target:
    """What the graph would be built for. ``dla``: built for a DLA core."""

    board: Board
    jetpack: JetPack
    dla: bool = False


Rule = Callable[[Network, NodeProto, Target], "Finding | None"]
"""A rule looks at one node of a network and returns what is wrong with it, or None."""
