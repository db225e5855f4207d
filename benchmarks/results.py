"""What the benchmarks share: the machine they ran on, and a section of their own in RESULTS.md.

A benchmark builds its section's Markdown and calls ``write_section("latency on a CPU", text)``: the section of that
name is replaced, the others stay as they are.
"""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgekit.bench.machine import describe_machine
from edgekit.frames.files import atomic_write

RESULTS = Path(__file__).parent / "RESULTS.md"
INTRODUCTION = """# Results

edgekit beside what one would otherwise use. A section that names a command was written by it, in one run; the others
say how their figures came about.
"""


def write_section(title: str, body: str, file: Path = RESULTS) -> None:
    """Put ``## title`` with ``body`` into ``file``, in the place of the section of that title or at the end."""
    text = file.read_text(encoding="utf-8") if file.exists() else INTRODUCTION
    section = f"## {title}\n\n{body.strip()}\n"
    # A section ends where the next one begins; a "## " inside a code block begins none.
    starts = _section_starts(text)
    place = next((i for i, (_, name) in enumerate(starts) if name == title), None)
    if place is None:
        text = f"{text.rstrip()}\n\n{section}"
    else:
        begin = starts[place][0]
        end = starts[place + 1][0] if place + 1 < len(starts) else len(text)
        rest = text[end:]
        text = text[:begin] + section + (f"\n{rest}" if rest else "")
    with atomic_write(file) as part:
        part.write_text(text, encoding="utf-8")


def _section_starts(text: str) -> list[tuple[int, str]]:
    starts, position, fenced = [], 0, False
    for line in text.splitlines(keepends=True):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and line.startswith("## "):
            starts.append((position, line[3:].strip()))
        position += len(line)
    return starts


def provenance(packages: Iterable[str] = ()) -> str:
    """Markdown: the command, the machine, and the versions of ``packages`` as installed here."""
    machine = describe_machine()
    versions = {name: version for name in packages if (version := installed(name))}
    memory = f", {machine['memory_mib'] / 1024:.0f} GiB" if machine["memory_mib"] else ""
    return "\n".join(
        [
            "```",
            command_line(),
            "```",
            "",
            f"{machine['processor']}, {machine['usable_cores']} cores{memory}; {machine['system']}; "
            f"load average at the end {machine['load_average']}.",
            f"Python {machine['python']}, edgekit {machine['edgekit']}, numpy {machine['numpy']}"
            + "".join(f", {name} {version}" for name, version in versions.items())
            + ".",
        ]
    )


def installed(package: str) -> str | None:
    """The version of an installed package, None where it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def command_line(argv: Sequence[str] | None = None) -> str:
    """The command as one types it in the repository: paths of this machine's file system are cut to their names."""
    argv = sys.argv if argv is None else argv
    shown = [re.sub(r"(?<![\w.])/(?:[^/\s,=]+/)+", "", word) for word in argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(argv[0]).name}", *shown])


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns are text, the others are numbers."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * left + "--:|" * (len(header) - left)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
