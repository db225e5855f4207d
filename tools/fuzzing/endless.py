"""Files whose reading does not end, or fills all memory."""

from __future__ import annotations

import os
from pathlib import Path

ENDLESS = ["zero", "hole", "fifo", "folder"]


def endless(path: Path, kind: str) -> None:
    """Something at ``path`` whose reading does not end, or fills all memory."""
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    if kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "hole":
        with open(path, "wb") as file:
            file.truncate(20 << 30)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
