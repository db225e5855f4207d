"""From files of measurements to what a report says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgekit.bench.document import read_measurements
from edgekit.bench.report.entries import Entry, entry_of
from edgekit.bench.rows import latest, read_rows
from edgekit.errors import EdgekitError


@dataclass
class Measurements:
    """What a report is made of. ``failed``: (label, what was wrong)."""

    title: str | None
    entries: list[Entry] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def read_report(files: Sequence[Path], title: str | None = None) -> Measurements:
    """Everything in the files, under ``title`` or the first suite's name. EdgekitError where no row is finished."""
    found = Measurements(title)
    for file in files:
        for label, document in read_measurements(file).items():
            try:
                found.entries.append(entry_of(label, document))
            except (KeyError, TypeError, AttributeError) as error:
                what = f"the measurement '{label}' is incomplete: {type(error).__name__} {error}"
                raise EdgekitError(what, where=str(file), fix="measure again") from error
        if file.suffix == ".jsonl":
            rows = latest(read_rows(file))
            found.failed += [(row["label"], row["error"]["what"]) for row in rows if row["status"] == "failed"]
            found.title = found.title or next((row.get("suite") for row in rows), None)
    if not found.entries and not found.failed:
        where, fix = ", ".join(map(str, files)), "run `edgekit bench suite` to its end"
        raise EdgekitError("there is nothing to report: no row is finished", where=where, fix=fix)
    found.title = found.title or "Measurements"
    return found
