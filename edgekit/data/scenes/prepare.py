"""Render what the cache lacks, in parallel."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

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
    jobs: queue.SimpleQueue[tuple[str | int, ...]] = queue.SimpleQueue()
    for (split, number), indices in missing.items():
        jobs.put((split, number, *indices))
    events: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True: a frame is done; False: a process is
    failures: list[str] = []
    running = [_start(config, folder) for _ in range(max(1, min(processes, len(missing))))]
    try:
        for process in running:
            threading.Thread(target=_serve, args=(process, jobs, events, failures), daemon=True).start()
        done, busy = 0, len(running)
        while busy:
            if events.get():
                done += 1
                if progress:
                    progress(done, total)
            else:
                busy -= 1
    finally:
        for process in running:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):
                    stream.close()
    if failures:
        reason = failures[0].splitlines()[-1] if failures[0] else "the process ended"
        raise EdgekitError(
            f"rendering the procedural scenes failed: {reason}",
            where=str(folder),
            fix="check free memory (each process needs about 1 GB) and free disk space, then run the command again",
        )


def _start(config: ScenesConfig, folder: Path) -> subprocess.Popen[str]:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), environment.get("PYTHONPATH")]))
    environment.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    # Worlds are large arrays that come and go; keeping freed memory saves glibc from fetching it page by page again.
    environment.update(MALLOC_MMAP_THRESHOLD_="4000000000", MALLOC_TRIM_THRESHOLD_="8000000000")
    command = [sys.executable, "-m", "edgekit.data.scenes.worker", config.model_dump_json(), str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace", env=environment)


def _serve(process: subprocess.Popen[str], jobs: queue.SimpleQueue, events: queue.SimpleQueue, failures: list) -> None:
    """Hand jobs to one process until there are none, or until one fails."""
    try:
        while not failures:
            try:
                job = jobs.get_nowait()
            except queue.Empty:
                break
            with contextlib.suppress(BrokenPipeError):  # its standard output ends as well, which is told below
                process.stdin.write(" ".join(map(str, job)) + "\n")
                process.stdin.flush()
            for line in process.stdout:
                if line.strip() == "next":
                    break
                events.put(True)
            else:
                failures.append(process.stderr.read().strip())
    except (OSError, ValueError) as error:  # the pipes were closed under our hands
        failures.append(str(error))
    finally:
        events.put(False)
