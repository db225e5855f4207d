"""A stage's folder: named by the hash of all it depends on, locked while worked on, marked when whole."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, sha256


class Stage:
    """``folder`` = ``root/<name>-<key>``. ``done.json`` in it says that it is whole and what its files must hash to."""

    def __init__(self, root: Path, name: str, key: str):
        self.name, self.key = name, key
        self.folder = root / f"{name}-{key}"

    @property
    def _marker(self) -> Path:
        return self.folder / "done.json"

    def result(self) -> dict[str, Any] | None:
        """What ``finish`` was given, or None where the stage must (still) run: never done, or its files changed."""
        try:
            done = json.loads(self._marker.read_text())
            intact = all(sha256(self.folder / name) == digest for name, digest in done["files"].items())
            return done["result"] if intact else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no marker, or not one that we wrote
            return None

    def finish(self, result: dict[str, Any], files: list[str]) -> None:
        """Mark the stage whole. ``files`` (relative names) are those later stages read; their hashes are kept."""
        done = {
            "stage": self.name,
            "key": self.key,
            "result": result,
            "files": {name: sha256(self.folder / name) for name in files},
            "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        with atomic_write(self._marker) as part:
            part.write_text(json.dumps(done, indent=2))

    @contextmanager
    def unless_done(self) -> Iterator[bool]:
        """Whether the block has to do the stage, which it then holds. Done stages are not locked: many may read."""
        if self.result() is not None:
            yield False
            return
        with self.locked():
            yield self.result() is None  # another process may have finished it in between

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stage against other processes. The kernel lets go of the lock when its holder dies, however.

        EdgekitError where another run holds it, or where the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise EdgekitError(
                f"cannot write: {error.strerror}", where=str(self.folder), fix="choose another folder with --out"
            ) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise EdgekitError(
                    f"another run is working on the stage '{self.name}'",
                    where=str(self.folder),
                    fix="wait for it to end, or give this run another folder with --out",
                ) from None
            yield
        finally:
            os.close(handle)
