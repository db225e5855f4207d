"""From files of measurements to reports on disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgekit.bench.document import read_measurements
from edgekit.bench.report.entries import Entry, entry_of
from edgekit.bench.report.html import html as as_html
from edgekit.bench.report.markdown import markdown as as_markdown
from edgekit.bench.rows import latest, parse_rows
from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write


def write_report(
    files: Sequence[Path], *, title: str | None = None, markdown: Path | None = None, html: Path | None = None
) -> dict[str, Any]:
    """{title, rows, failed, written, text}; ``text`` is the Markdown. EdgekitError for files without a measurement."""
    entries: list[Entry] = []
    failed: list[tuple[str, str]] = []
    for file in files:
        for label, document in read_measurements(file).items():
            try:
                entries.append(entry_of(label, document))
            except (KeyError, TypeError, AttributeError) as error:
                what = f"the measurement '{label}' is not whole: {type(error).__name__} {error}"
                raise EdgekitError(what, where=str(file), fix="measure again") from error
        if file.suffix == ".jsonl":
            rows = latest(parse_rows(file.read_text(encoding="utf-8"), str(file)))
            failed += [(row["label"], row["error"]["what"]) for row in rows if row["status"] == "failed"]
            title = title or next((row.get("suite") for row in rows), None)
    if not entries and not failed:
        raise EdgekitError("there is nothing to report: no row is finished", where=", ".join(map(str, files)))
    title = title or "Measurements"
    text = as_markdown(title, entries, failed)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    written = []
    for path, content in ((markdown, text), (html, as_html(title, entries, failed, now) if html else "")):
        if path:
            with atomic_write(path) as part:
                part.write_text(content, encoding="utf-8")
            written.append(str(path))
    return {"title": title, "rows": len(entries), "failed": len(failed), "written": written, "text": text}
