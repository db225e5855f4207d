"""A suite's rows on disk: one JSON line each, appended when it is finished, so that a kill loses none of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.locks import take_lock

SCHEMA = 1


class RowFile:
    """A suite's ``.jsonl``, held by one process at a time; a context manager.

    A row: {schema, key, label, cell, status: done | failed, created, seconds, measurement | None, error | None}.
    EdgekitError where another suite is writing it, or where it holds something else.
    """

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> RowFile:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "ab+")
        try:
            if not take_lock(self._file.fileno()):
                fix = "wait for it, or name another --output"
                raise EdgekitError("another suite is writing this file", where=str(self.path), fix=fix)
            self._file.seek(0)
            content = self._file.read()
            # A row that a kill or a power cut left unfinished: the next row must not be appended to it.
            whole = content[: content.rfind(b"\n") + 1]
            self.rows = parse_rows(whole.decode("utf-8", errors="replace"), str(self.path))
            if len(whole) < len(content):
                self._file.truncate(len(whole))
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def done(self) -> set[str]:
        """Keys of the rows that need not be measured again."""
        return {row["key"] for row in latest(self.rows) if row["status"] == "done"}

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row; when this returns, it is on disk."""
        self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.rows.append(dict(row))


def parse_rows(text: str, where: str) -> list[dict[str, Any]]:
    """All rows of a file's text. A last line without its end is left out; EdgekitError, with its number, for any other
    line that is not a row of this schema."""
    rows = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            whole = (
                row["schema"] == SCHEMA and row["status"] in ("done", "failed") and {"key", "label", "cell"} <= set(row)
            )
            whole = whole and (row["status"] == "failed" or "timings" in row["measurement"])
        except (ValueError, TypeError, KeyError, RecursionError):
            whole = False
        if not whole:
            raise EdgekitError(
                "this is not a row of a suite",
                where=f"{where}:{number}",
                fix="give a file that `edgekit bench suite` wrote",
            )
        rows.append(row)
    return rows


def latest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last row of every key, in the order in which the keys first came."""
    return list({row["key"]: row for row in rows}.values())
