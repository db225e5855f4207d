"""Render what the cache lacks, in parallel."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from edgekit.data.scenes.config import ScenesConfig
from edgekit.errors import EdgekitError

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]


def render_missing(
    config: ScenesConfig,
    folder: Path,
    missing: dict[tuple[str, int], list[int]],
    progress: Callable[[int, int], None] | None,
    processes: int,
) -> None:
    """Render the frames ``missing`` {(split, scene): indices} into ``folder``.

    ``progress(done, total)`` is called in the caller's thread. A scene stays with one process, as building its world
    costs as much as tens of frames.
    """
    total = sum(map(len, missing.values()))
    jobs = [" ".join(map(str, (split, number, *indices))) for (split, number), indices in missing.items()]
    count = max(1, min(processes, len(jobs)))
    running: list[subprocess.Popen] = []
    read_end, write_end = os.pipe()  # one for all processes: each writes a line per frame
    with open(read_end, "rb") as finished, tempfile.TemporaryFile() as errors:
        try:
            try:
                running.extend(_start(config, folder, jobs[k::count], write_end, errors) for k in range(count))
            finally:
                os.close(write_end)  # the pipe ends when the last process does
            for done, _ in enumerate(finished, 1):
                if progress:
                    progress(done, total)
                if any(process.poll() for process in running):
                    break
            else:
                for process in running:
                    process.wait()
            failed = any(process.returncode for process in running)
        finally:
            for process in running:
                process.kill()
                process.wait()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    if failed:
        reason = said.splitlines()[-1] if said else "a process ended before its frames were rendered"
        raise EdgekitError(
            f"rendering the procedural scenes failed: {reason}",
            where=str(folder),
            fix="check free memory (each process needs about 1 GB) and free disk space, then run the command again",
        )


def _start(config: ScenesConfig, folder: Path, jobs: list[str], output: int, errors: IO[bytes]) -> subprocess.Popen:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), environment.get("PYTHONPATH")]))
    environment.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    # Worlds are large arrays that come and go; keeping freed memory saves glibc from fetching it page by page again.
    environment.update(MALLOC_MMAP_THRESHOLD_="4000000000", MALLOC_TRIM_THRESHOLD_="8000000000")
    command = [sys.executable, "-m", "edgekit.data.scenes.worker", config.model_dump_json(), str(folder)]
    with tempfile.TemporaryFile() as todo:  # a file and not a pipe: nobody waits for the other to read
        todo.write("\n".join(jobs).encode())
        todo.seek(0)
        return subprocess.Popen(command, stdin=todo, stdout=output, stderr=errors, env=environment)
