"""Processes that train together: which one this is, waiting for the others, agreeing on what one of them found.

torchrun starts them and sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; without it there is one
process, and nothing here waits for anything. Only the first process writes (beside each one's own targets), checks and
evaluates. What is said between processes is JSON and numbers, never pickles.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from edgekit.errors import EdgekitError

WAIT_MINUTES = "EDGEKIT_WAIT_MINUTES"
_RESUME = "run the same command again: it goes on from the last checkpoint"


def rank() -> int:
    """This process's number, 0 where there is one alone; known before the processes have met."""
    return int(os.environ.get("RANK", 0)) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else 0


def local_rank() -> int:
    """This process's number on its machine, which is the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0)) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else 0


@functools.cache
def world() -> World:
    """All processes of this run; the first call waits until they have met. EdgekitError where they do not."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    minutes = _wait_minutes()
    if size > 1:
        timeout = timedelta(minutes=minutes)
        gpu = torch.cuda.is_available()
        try:
            if gpu:
                torch.cuda.set_device(local_rank())
            dist.init_process_group("nccl" if gpu else "gloo", timeout=timeout)
            # waiting and telling go over the network's own group: it can say who is missing, and needs no GPU
            control = dist.new_group(backend="gloo", timeout=timeout) if gpu else dist.group.WORLD
        except (RuntimeError, ValueError) as error:
            raise EdgekitError(
                f"process {rank()} of {size} could not meet the others: {_line(error)}",
                where=f"MASTER_ADDR={os.environ.get('MASTER_ADDR')}, MASTER_PORT={os.environ.get('MASTER_PORT')}",
                fix="start all of them with torchrun, and see that the first machine can be reached from the others",
            ) from error
        atexit.register(dist.destroy_process_group)
        return World(rank(), size, minutes, control)
    return World(0, 1, minutes, None)


class World:
    """``rank`` of ``size`` processes."""

    def __init__(self, rank: int, size: int, minutes: float, control: Any):
        self.rank, self.size = rank, size
        self._minutes = minutes
        self._control = control

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, checks and evaluates."""
        return self.rank == 0

    def wait(self, what: str) -> None:
        """Until all processes are here. EdgekitError naming ``what``, and who is missing, if they are not in time."""
        if self.size == 1:
            return
        with self.contact(what):
            dist.monitored_barrier(self._control, timedelta(minutes=self._minutes), wait_all_ranks=True)

    def lead(self, what: str, work: Callable[[], Any]) -> Any:
        """What ``work`` returns in the first process, in all of them; it must be JSON. The others wait for it.

        Where it raises, all processes end: the others with an EdgekitError, or interrupted as the first one was.
        """
        if self.size == 1:
            return work()
        if not self.first:
            return self._hear(what)
        try:
            result = work()
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            with suppress(EdgekitError):  # what went wrong first is what to tell
                self._tell(what, {"failed": str(error) or type(error).__name__, "interrupted": interrupted})
            raise
        self._tell(what, {"result": result})
        return result

    def agree(self, what: str, value: Any) -> None:
        """EdgekitError where this process has another ``value`` (JSON) than the first."""
        expected = self.lead(what, lambda: value)
        if expected != json.loads(json.dumps(value)):
            raise EdgekitError(
                f"process {self.rank} on {socket.gethostname()} sees other {what} than process 0",
                fix="give all processes the same recipe, data and folder",
            )

    def sum(self, what: str, numbers: Tensor) -> Tensor:
        """The sum over all processes of a tensor on this one's device, in place."""
        if self.size > 1:
            with self.contact(what):
                dist.all_reduce(numbers)
        return numbers

    @contextmanager
    def contact(self, what: str) -> Iterator[None]:
        """EdgekitError naming ``what`` where another process has ended, or has not answered in time."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not _is_about_others(error):
                raise
            raise EdgekitError(
                f"process {self.rank} of {self.size} lost the others at: {what} ({_line(error)})",
                where=socket.gethostname(),
                fix=f"see what ended the other one; {_RESUME}. {WAIT_MINUTES} is how long to wait ({self._minutes:g})",
            ) from error

    def _tell(self, what: str, told: dict) -> None:
        text = torch.frombuffer(bytearray(json.dumps(told).encode()), dtype=torch.uint8)
        with self.contact(what):
            dist.broadcast(torch.tensor([len(text)]), 0, group=self._control)
            dist.broadcast(text, 0, group=self._control)

    def _hear(self, what: str) -> Any:
        with self.contact(what):
            length = torch.zeros(1, dtype=torch.int64)
            dist.broadcast(length, 0, group=self._control)
            text = torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(text, 0, group=self._control)
        told = json.loads(text.numpy().tobytes())
        if "result" in told:
            return told["result"]
        if told["interrupted"]:
            raise KeyboardInterrupt
        raise EdgekitError(f"process {self.rank} ends as process 0 did, at: {what} ({told['failed'].splitlines()[0]})")


def _wait_minutes() -> float:
    text = os.environ.get(WAIT_MINUTES, "60")
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if minutes <= 0:
        raise EdgekitError(f"{WAIT_MINUTES} is '{text}', but must be a number of minutes above 0")
    return minutes


def _is_about_others(error: RuntimeError) -> bool:
    # gloo raises plain RuntimeErrors, NCCL and the store errors of their own
    text = str(error).lower()
    words = ("gloo", "nccl", "connection", "timed out", "monitoredbarrier", "socket", "peer")
    return isinstance(error, dist.DistError) or any(word in text for word in words)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
