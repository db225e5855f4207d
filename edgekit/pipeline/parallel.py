"""Networks trained at once on a CPU, one process each.

On two cores, two processes of one thread make more steps than one process of two threads: small maps leave the threads
of one network waiting for each other, and for the loader. The stages are the same as in one process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.training.interrupt import Interrupt
from edgekit.training.views import FORWARD, ProgressView, forward, view_for

Job = tuple[str, ...]
"""A worker's arguments after the run: ``("teacher", index, generation)`` or one of those below; of a trial with TRIAL
first."""
FIRST_TARGETS: Job = ("targets",)
"""What the first generation of teachers says, for the second."""
BASELINE: Job = ("baseline",)
STUDENT: Job = ("student",)
"""The ensemble's targets and the student that learns from them."""
TRIAL = "trial"


def train_at_once(
    run: Path, jobs: Sequence[Job], *, at_once: int, threads: int, after: Mapping[Job, Sequence[Job]] | None = None
) -> None:
    """Run every job, ``at_once`` at a time, in ``threads`` threads each, in the order of the list.

    ``after``: job → the jobs that must be done before it starts.

    The first EdgekitError of a job, after the other jobs were stopped at a checkpoint; on Ctrl-C KeyboardInterrupt,
    after all were.
    """
    view = view_for(sys.stderr)
    after, finished = after or {}, set()
    waiting, running = list(jobs), []

    def ready() -> list[Job]:
        return [job for job in waiting if finished.issuperset(after.get(job, ()))]

    try:
        with Interrupt() as interrupt:
            while waiting or running:
                while len(running) < at_once and not interrupt.requested and (startable := ready()):
                    waiting.remove(startable[0])
                    running.append(_Worker(run, startable[0], threads, view))
                for worker in [w for w in running if not w.alive()]:
                    running.remove(worker)
                    worker.check()
                    finished.add(worker.job)
                if interrupt.requested:
                    raise KeyboardInterrupt
                time.sleep(0.05)
    finally:
        for worker in running:
            worker.stop()
        view.close()


class _Worker:
    """A worker process, its progress forwarded to the view."""

    def __init__(self, run: Path, job: Job, threads: int, view: ProgressView):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), FORWARD: str(view.interval)}
        self.job = job
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgekit.pipeline.worker", str(run), *job],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._stderr: list[str] = []
        self._reader = threading.Thread(target=self._read, args=(view,), daemon=True)
        self._reader.start()

    def _read(self, view: ProgressView) -> None:
        for line in self._process.stderr:
            if not forward(line, view):
                self._stderr.append(line)

    def alive(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raise the error of a finished worker, if it had one."""
        stdout = self._end()
        code = self._process.returncode
        if code == 0:
            return
        if code == 2 and stdout:
            raise EdgekitError(**json.loads(stdout))
        if code in (130, -signal.SIGINT):
            raise KeyboardInterrupt
        name = " ".join(self.job)
        if code == -signal.SIGKILL:
            raise EdgekitError(
                f"the process that trained '{name}' was killed, as the kernel does when memory runs out",
                where=name,
                fix="lower data.memory_gb or the batch size, or train one at a time with --jobs 1",
            )
        raise RuntimeError(f"the process that trained '{name}' ended with {code}:\n{''.join(self._stderr)}")

    def stop(self) -> None:
        """Ask for a checkpoint and wait for the end."""
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
        self._end()

    def _end(self) -> str:
        """Wait for the process and close its pipes; returns its stdout."""
        stdout = self._process.stdout.read().strip()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self._process.stderr.close()
        return stdout
