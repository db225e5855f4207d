"""A suite's rows on disk: one JSON line each, appended when it is finished, so that a kill loses none of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from edgekit import limits
from edgekit.errors import EdgekitError
from edgekit.frames.locks import take_lock
from edgekit.frames.outside import parse_json, read_text
from edgekit.frames.typed import Misfit, as_typed

SCHEMA = 1
_GIVE = "give a file that `edgekit bench suite` wrote"


class _Error(TypedDict):
    what: str


class _Timed(TypedDict):
    timings: dict[str, Any]


class _Always(TypedDict):
    schema: Literal[1]
    key: str
    label: str
    cell: dict[str, Any]
    status: Literal["done", "failed"]


class _Row(_Always, total=False):
    suite: str | None
    measurement: _Timed | None
    error: _Error | None


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
        row = parse_json(line, where=f"{where}:{number}", what="the row", fix=_GIVE)
        try:
            as_typed(_Row, row, "the row")
            part = "measurement" if row["status"] == "done" else "error"
            if not row.get(part):
                raise Misfit(f"the row lacks the field '{part}'")
        except Misfit as error:
            what = f"this is not a row of a suite: {error}"
            raise EdgekitError(what, where=f"{where}:{number}", fix=_GIVE) from None
        rows.append(row)
    return rows


def read_rows(path: Path) -> list[dict[str, Any]]:
    """``parse_rows`` of a file. FileNotFoundError where it is missing; EdgekitErrors as of ``read_text`` too."""
    return parse_rows(read_text(path, what="the suite's rows", most=limits.ROWS_BYTES, fix=_GIVE), str(path))


def latest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last row of every key, in the order in which the keys first came."""
    return list({row["key"]: row for row in rows}.values())
