"""What releases of TensorRT for RTX make of a student's files: ``python tools/rtx_versions.py [VERSION …]``.

Each release is installed into a folder of its own (a gigabyte, from the package index) and `edgekit compile repseg`
runs with it. Says per file whether it was taken, and how many lines of the compiler's table edgekit cannot read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from real_bindings import Unavailable, install

VERSIONS = ("1.4.0.76", "1.5.0.114", "1.6.1.120", "1.7.1.116")
COMMAND = ("compile", "repseg", "--size", "112x192", "--lane", "strong", "--json")


def lines(version: str, document: dict) -> Iterator[str]:
    """A line per file of what `edgekit compile --json` says."""
    for file in document["files"]:
        engine = file["engine"]
        if engine is None:
            refusal = file["refusals"][0]
            yield f"{version}  {file['subject']}: refused by {refusal['by']}: {refusal['what'][:160]}"
            continue
        reading = ", ".join(f"{count} {kind}" for kind, count in engine["convolutions_reading"].items())
        unread = len(engine["not_understood"])
        yield f"{version}  {file['subject']}: taken, {engine['kernels']} kernels, convolutions read {reading}, " + (
            f"{unread} lines not understood" if unread else "every line understood"
        )


def compiled(version: str) -> dict:
    """The JSON of the command with that release. Unavailable where it cannot be installed."""
    with tempfile.TemporaryDirectory() as folder:
        packages = [f"tensorrt-rtx-cu13-{part}=={version}" for part in ("libs", "bindings")]
        install(Path(folder), "--no-deps", *packages)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}
        command = [sys.executable, "-m", "edgekit", *COMMAND]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise Unavailable(f"edgekit compile failed: {done.stderr.strip()[-300:]}")
    document = json.loads(done.stdout)
    used = {file["tensorrt_rtx"] for file in document["files"]} - {"unknown"}  # of a build that crashed
    if used - {version}:
        raise Unavailable(f"{', '.join(used)} was used in place of {version}")
    return document


def main() -> None:
    for version in sys.argv[1:] or VERSIONS:
        try:
            print(*lines(version, compiled(version)), sep="\n", flush=True)
        except Unavailable as reason:
            print(f"{version}  {reason}", flush=True)


if __name__ == "__main__":
    main()
