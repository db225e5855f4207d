"""The training loop: steps, schedule, checkpoints, and nothing about what is being learned."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from edgekit import limits
from edgekit.data.batches import Batch, Batches, Prefetch
from edgekit.errors import EdgekitError
from edgekit.training.checkpoint import UNFINISHED, load_checkpoint, save_checkpoint
from edgekit.training.config import TrainConfig
from edgekit.training.distributed import ProcessGroup, world
from edgekit.training.ema import averaged
from edgekit.training.interrupt import Interrupt
from edgekit.training.memory import keep_freed_memory
from edgekit.training.optimiser import optimiser_of
from edgekit.training.precision import depthwise_in_fp32, device, resolve
from edgekit.training.progress import Progress
from edgekit.training.runnable import callable_of, compiler
from edgekit.training.running_statistics import RunningStatistics


class Objective(Protocol):
    """What is minimised: named scalars whose sum is the loss, and scores of the last batch for the progress bar.

    ``forward`` computes the network's output: the network itself, until ``train`` wraps it.
    """

    forward: Callable

    def __call__(self, batch: Batch) -> dict[str, Tensor]: ...

    def scores(self) -> dict[str, float]: ...


def learning_rate(step: int, config: TrainConfig) -> float:
    """Linear warm-up, then half a cosine to zero; ``step`` counts from 0."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / config.steps))


def train(
    network: nn.Module,
    objective: Objective,
    batches: Batches,
    config: TrainConfig,
    *,
    folder: Path,
    progress: Progress,
    key: str = "train",
) -> nn.Module:
    """Train in place and return the averaged network, in evaluation mode on the CPU.

    Continues from the checkpoint in ``folder``, writes one every ``config.checkpoint_every`` seconds, and one more on
    Ctrl-C. Batch k depends on k alone, so a resumed run equals an unbroken one for the same thread count.
    ``key``: the section of the recipe that ``config`` comes from, for messages.
    Where processes train together each takes its micro-batches of every batch, and the first one writes.
    EdgekitError where loss or gradient stop being finite, or another process ended; KeyboardInterrupt after a
    checkpoint on Ctrl-C.
    """
    keep_freed_memory()
    where, together = device(), world()
    parts = config.parts(together.size, key)
    mine = parts // together.size
    network.to(where, memory_format=torch.channels_last).train()
    optimiser = optimiser_of(network, config)
    scaler = torch.amp.GradScaler(where.type, enabled=resolve(config.precision, where.type) == torch.float16)
    average = averaged(network, config.ema)
    path = folder / UNFINISHED
    stateful = {"network": network, "average": average, "optimiser": optimiser, "scaler": scaler}
    start, spent = _restore(path, stateful, progress)
    objective.forward, unsynced = callable_of(network, compiled=config.compile, key=key)
    statistics = RunningStatistics(network) if parts > 1 else None
    saved_at = time.monotonic()
    own = _OwnMicroBatches(batches, parts, mine, together.rank)
    prefetch = Prefetch(own, start * mine, config.steps * mine, workers=config.workers)
    ready = (batch for _, batch in prefetch)
    progress.begin(config.steps, start, spent=spent)
    try:
        with (
            Interrupt() as interrupt,
            together.contact(progress.title),
            compiler(config.compile, key),
            depthwise_in_fp32(network, config.precision, where.type),
        ):
            for step in range(start, config.steps):
                rate = learning_rate(step, config)
                for group in optimiser.param_groups:
                    group["lr"] = rate * group["rate_factor"]
                optimiser.zero_grad(set_to_none=True)
                problem = None
                if statistics:
                    statistics.begin()
                for part in range(mine):
                    batch = next(ready)
                    with unsynced() if part < mine - 1 else nullcontext():
                        terms = objective(batch.to(where))
                        total = torch.stack(list(terms.values())).sum()
                        problem = problem or _not_finite("loss", total, terms, batch, progress.title, key)
                        if problem and together.size == 1:
                            raise problem
                        scaler.scale(total / mine).backward()
                    if statistics:
                        statistics.take()
                stop = _agree(together, statistics, parts, where, problem, interrupt, f"{progress.title}, step {step}")
                scaler.unscale_(optimiser)
                norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip)
                if not scaler.is_enabled():  # it skips such steps by itself
                    problem = _not_finite("gradient", norm, terms, batch, progress.title, key)
                    if problem:
                        raise problem
                scaler.step(optimiser)
                scaler.update()
                average.update_parameters(network)
                progress.step(step + 1, lambda: _facts(total, objective), waited=prefetch.waited)  # noqa: B023
                if together.first and (stop or time.monotonic() - saved_at > config.checkpoint_every):
                    states = {name: part.state_dict() for name, part in stateful.items()}
                    save_checkpoint(path, {"step": step + 1, "seconds": progress.seconds, **states})
                    saved_at = time.monotonic()
                if stop:
                    raise KeyboardInterrupt
    finally:
        prefetch.close()
        progress.end()
    return average.module.cpu()


class _OwnMicroBatches:
    """The micro-batches that one process takes, in order: ``mine`` of the ``parts`` of every batch."""

    def __init__(self, batches: Batches, parts: int, mine: int, rank: int):
        self._batches, self._parts = batches, parts
        self._mine, self._first = mine, rank * mine

    def __getitem__(self, number: int) -> Batch:
        step, part = divmod(number, self._mine)
        return self._batches[step] if self._parts == 1 else self._batches.part(step, self._first + part, self._parts)


def _agree(together: ProcessGroup, statistics, parts: int, where, problem, interrupt: Interrupt, at: str) -> bool:
    """Average the running statistics over all processes; returns whether the user asked any of them to stop.

    EdgekitError where any of them met a loss that is not finite. All of it is one exchange between the processes.
    """
    if statistics is None:
        return interrupt.requested
    flags = torch.zeros(together.size + 1, device=where)
    flags[together.rank] = problem is not None
    flags[-1] = interrupt.requested
    summed = together.sum(at, torch.cat([flags, statistics.sums().to(where)]))
    if problem:
        raise problem
    failed = [rank for rank in range(together.size) if summed[rank]]
    if failed:
        fix = "see the message of that process"
        raise EdgekitError(f"process {failed[0]} met a loss that is not finite", where=at, fix=fix)
    statistics.finish(summed[len(flags) :], parts)
    return bool(summed[len(flags) - 1])


def _facts(total: Tensor, objective: Objective) -> dict[str, float]:
    return {"loss": float(total.detach()), **objective.scores()}


def _not_finite(
    what: str, value: Tensor, terms: dict[str, Tensor], batch: Batch, stage: str, key: str
) -> EdgekitError | None:
    """The error to raise before the weights change, so that no checkpoint ever holds NaN; None for a finite value."""
    if torch.isfinite(value):
        return None
    bad = [name for name, term in terms.items() if not torch.isfinite(term)]
    listed = ", ".join(f"{name} {term.item():g}" for name, term in terms.items())
    return EdgekitError(
        f"the {what} is not finite at step {batch.step}: {listed}" + (f"; see {' and '.join(bad)}" if bad else ""),
        where=f"{stage}, step {batch.step}, frames " + ", ".join(batch.frames),
        fix=f"lower {key}.learning_rate, or set {key}.precision: fp32; the last checkpoint is kept",
    )


def _restore(path: Path, stateful: dict[str, Any], progress: Progress) -> tuple[int, float]:
    """(steps done, seconds spent): of the checkpoint, which is loaded; zeros where it is missing or damaged."""

    def restore() -> list:
        state = load_checkpoint(path, most=limits.CHECKPOINT_BYTES)
        if not _fits(state, stateful):
            raise EdgekitError("the checkpoint is of another network", where=str(path), fix="delete it and run again")
        for name, part in stateful.items():
            part.load_state_dict(state[name])
        return [state["step"], state["seconds"]]

    def restore_or_begin() -> list:
        try:
            return restore() if path.exists() else [0, 0.0]
        except EdgekitError as error:
            progress.note(f"{error.what}; training starts from step 0")
            path.unlink(missing_ok=True)
            return [0, 0.0]

    together = world()
    step, seconds = together.lead(f"the checkpoint of {progress.title}", restore_or_begin)
    if not together.first and step and restore()[0] != step:
        fix = "give --out a folder that all machines share"
        raise EdgekitError("this process sees another checkpoint than process 0", where=str(path), fix=fix)
    return step, seconds


def _fits(state: Any, stateful: dict[str, Any]) -> bool:
    """Whether a checkpoint holds all that ``train`` writes, for a network of this shape."""
    if not isinstance(state, dict) or not {"step", "seconds", *stateful} <= state.keys():
        return False
    modules = {name: part.state_dict() for name, part in stateful.items() if isinstance(part, nn.Module)}
    return all(isinstance(state[name], dict) and _shapes(state[name]) == _shapes(own) for name, own in modules.items())


def _shapes(state: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(value, "shape", None) for name, value in state.items()}
