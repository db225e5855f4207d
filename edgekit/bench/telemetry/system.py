"""The programs and files of the machine, behind one object, so that captured text can stand in for a board."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """How a program ended. ``code`` is None where it is not installed or did not end in time."""

    code: int | None
    out: str = ""
    err: str = ""

    @property
    def good(self) -> bool:
        return self.code == 0


class LineStream:
    """A program that writes lines until it is stopped."""

    def __init__(self, argv: Sequence[str]):
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            text=True,
        )

    def lines(self) -> Iterator[str]:
        """Whole lines, as they come, until the program ends or is stopped; the last one if it was cut off is not."""
        with self._process.stdout as pipe:
            for line in pipe:
                if line.endswith("\n"):
                    yield line

    def stop(self) -> None:
        """End the program, killing it where it does not react. Twice is fine."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


class System:
    """The machine edgekit runs on. ``root``: where its files are."""

    def __init__(self, root: Path = Path("/")):
        self.root = root

    @property
    def is_root(self) -> bool:
        return hasattr(os, "geteuid") and os.geteuid() == 0

    def has(self, program: str) -> bool:
        return shutil.which(program) is not None

    def run(self, *argv: str, answer: str = "", timeout: float = 20.0) -> Ran:
        """Run a program to its end; ``answer`` is its standard input, so that it cannot wait for a user."""
        try:
            done = subprocess.run(
                argv, input=answer, capture_output=True, text=True, errors="replace", timeout=timeout, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Ran(None, "", str(error))
        return Ran(done.returncode, done.stdout, done.stderr)

    def stream(self, *argv: str) -> LineStream:
        """Start a program that goes on until stopped. OSError where it cannot start."""
        return LineStream(argv)
