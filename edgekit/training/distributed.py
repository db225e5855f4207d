"""Processes that train together: which one this is, waiting for the others, sharing what the first one found.

torchrun starts them and sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; without it there is one
process, and nothing here waits. Every process writes the targets of its own frames; the first one alone writes all
else, checks and evaluates. Processes send each other JSON and numbers, never pickles.
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

from edgekit.errors import EdgekitError, first_line

WAIT_MINUTES = "EDGEKIT_WAIT_MINUTES"
_RESUME = "run the same command again: it goes on from the last checkpoint"


def rank() -> int:
    """This process's number, 0 where there is only one; known before the processes are connected."""
    return int(os.environ.get("RANK", 0)) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else 0


def local_rank() -> int:
    """This process's number on its machine, which is the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0)) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else 0


@functools.cache
def world() -> ProcessGroup:
    """All processes of this run; the first call waits until they are connected. EdgekitError where they are not."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    minutes = _wait_minutes()
    if size > 1:
        timeout = timedelta(minutes=minutes)
        gpu = torch.cuda.is_available()
        try:
            if gpu:
                torch.cuda.set_device(local_rank())
            dist.init_process_group("nccl" if gpu else "gloo", timeout=timeout)
            # barriers and broadcasts use gloo: it can report which process is missing, and needs no GPU
            control = dist.new_group(backend="gloo", timeout=timeout) if gpu else dist.group.WORLD
        except (RuntimeError, ValueError) as error:
            raise EdgekitError(
                f"process {rank()} of {size} could not connect to the others: {first_line(error)}",
                where=f"MASTER_ADDR={os.environ.get('MASTER_ADDR')}, MASTER_PORT={os.environ.get('MASTER_PORT')}",
                fix="start all of them with torchrun, and see that the first machine can be reached from the others",
            ) from error
        atexit.register(dist.destroy_process_group)
        return ProcessGroup(rank(), size, minutes, control)
    return ProcessGroup(0, 1, minutes, None)


class ProcessGroup:
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
        """Wait until all processes are here. EdgekitError naming ``what``, and who is missing, after the time limit."""
        if self.size == 1:
            return
        with self.contact(what):
            dist.monitored_barrier(self._control, timedelta(minutes=self._minutes), wait_all_ranks=True)

    def lead(self, what: str, work: Callable[[], Any]) -> Any:
        """Run ``work`` in the first process and return its result, which must be JSON, in all of them.

        Where it raises, all processes end: the others with an EdgekitError, or interrupted as the first one was.
        """
        if self.size == 1:
            return work()
        if not self.first:
            return self._receive(what)
        try:
            result = work()
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            with suppress(EdgekitError):  # the first error is the one to report
                self._send(what, {"failed": first_line(error), "interrupted": interrupted})
            raise
        self._send(what, {"result": result})
        return result

    def agree(self, what: str, value: Any) -> None:
        """EdgekitError where this process has another ``value`` (JSON) than the first."""
        expected = self.lead(what, lambda: value)
        if expected != json.loads(json.dumps(value)):
            raise EdgekitError(
                f"process {self.rank} on {socket.gethostname()} differs from process 0 in: {what}",
                where=what,
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
                f"process {self.rank} of {self.size} lost the others at: {what} ({first_line(error)})",
                where=socket.gethostname(),
                fix=f"see what ended the other one; {_RESUME}. {WAIT_MINUTES} is the longest wait ({self._minutes:g})",
            ) from error

    def _send(self, what: str, message: dict) -> None:
        text = torch.frombuffer(bytearray(json.dumps(message).encode()), dtype=torch.uint8)
        with self.contact(what):
            dist.broadcast(torch.tensor([len(text)]), 0, group=self._control)
            dist.broadcast(text, 0, group=self._control)

    def _receive(self, what: str) -> Any:
        with self.contact(what):
            length = torch.zeros(1, dtype=torch.int64)
            dist.broadcast(length, 0, group=self._control)
            text = torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(text, 0, group=self._control)
        message = json.loads(text.numpy().tobytes())
        if "result" in message:
            return message["result"]
        if message["interrupted"]:
            raise KeyboardInterrupt
        raise EdgekitError(
            f"process {self.rank} ends as process 0 did, at: {what} ({message['failed']})",
            where=socket.gethostname(),
            fix="see what process 0 says",
        )


def _wait_minutes() -> float:
    text = os.environ.get(WAIT_MINUTES, "60")
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if minutes <= 0:
        raise EdgekitError(
            f"{WAIT_MINUTES} is '{text}', but must be a number of minutes above 0",
            where=WAIT_MINUTES,
            fix="give minutes, such as 60, or leave it unset",
        )
    return minutes


def _is_about_others(error: RuntimeError) -> bool:
    # gloo raises plain RuntimeErrors, NCCL and the store errors of their own
    text = str(error).lower()
    words = ("gloo", "nccl", "connection", "timed out", "monitoredbarrier", "socket", "peer")
    return isinstance(error, dist.DistError) or any(word in text for word in words)
