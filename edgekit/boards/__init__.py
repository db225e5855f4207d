"""What is known of boards and JetPacks, in one data file, and what the board at hand says of itself."""

from __future__ import annotations

from edgekit.boards.lookup import (
    board,
    check_pair,
    jetpack,
    jetpack_of_l4t,
    newest_jetpack,
    newest_opset,
)
from edgekit.boards.table import Board, JetPack

__all__ = [
    "Board",
    "JetPack",
    "board",
    "check_pair",
    "jetpack",
    "jetpack_of_l4t",
    "newest_jetpack",
    "newest_opset",
]
