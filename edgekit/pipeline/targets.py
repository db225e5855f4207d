"""The stage that runs the ensemble once on every train frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch

from edgekit.data.batches import SoftMap
from edgekit.data.frameset import FrameSet
from edgekit.data.source import FrameInfo
from edgekit.distill.targets import TargetStore
from edgekit.pipeline.stage import Stage
from edgekit.pipeline.stages import targets_stage
from edgekit.pipeline.workbench import Workbench
from edgekit.tasks import kind_of
from edgekit.teachers.ensemble import Ensemble, ExternalMember, members_of
from edgekit.teachers.external.teacher import ExternalTeacher
from edgekit.teachers.multimodal import MultiModal
from edgekit.training.distributed import world
from edgekit.training.interrupt import Interrupt
from edgekit.training.memory import enough_memory, keep_freed_memory
from edgekit.training.precision import device
from edgekit.training.progress import Progress


def build_ensemble(
    bench: Workbench, networks: Sequence[MultiModal], external: Sequence[ExternalTeacher] | None = None
) -> Ensemble:
    """The recipe's ensemble of these networks. ``external``: the teachers beside them; by default all of the recipe."""
    recipe = bench.recipe
    external = bench.external if external is None else external
    members = members_of(recipe.ensemble, len(networks), recipe.teacher.modalities, recipe.teacher.masking)
    precision, config = recipe.teacher.train.precision, recipe.ensemble
    return Ensemble(
        networks,
        members,
        average=config.average,
        precision=precision,
        at_once=config.at_once,
        tasks=bench.tasks,
        others=[ExternalMember(partial(e.answer, bench.frames), e.config.votes) for e in external],
    )


def encode_inputs(frames: FrameSet, frame: FrameInfo, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Modalities of one frame, (1, C, H, W) float32 network units on the device; a missing one is NaN everywhere."""
    where = device()
    maps = frames.read(frame, [*names, "rgb"])
    size = maps["rgb"].shape[:2]
    out = {}
    for name in names:
        task = frames.tasks[name]
        encoded = kind_of(task).encode_if_there(task, maps.get(name), size)
        out[name] = torch.from_numpy(np.ascontiguousarray(encoded.transpose(2, 0, 1)))[None].to(where)
    return out


def compute_targets(bench: Workbench, ensemble: Ensemble, stage: Stage | None = None) -> tuple[TargetStore, dict, str]:
    """The store of the ensemble's predictions for all train frames; undamaged ones that exist already are kept.

    ``stage``: of the ensemble's generation, by default the last.
    Processes that run together share the frames: each predicts, and writes, every size-th one.
    Returns the store, facts (frames, members, bytes per frame, seconds) and the stage's key.
    """
    last = stage is None
    stage = stage or targets_stage(bench)
    store = TargetStore(stage.folder, bench.tasks, bench.recipe.targets)
    frames, together = bench.frames.frames("train"), world()
    own = frames[together.rank :: together.size]
    missing = [f for f in own if not store.has(f)]
    facts = together.lead("the targets", stage.result)
    left = together.sum("counting the targets", torch.tensor(float(len(missing)), device=device()))
    if facts is not None and not left:
        return store, facts, stage.key
    keep_freed_memory()
    began = time.perf_counter()
    with ExitStack() as held:
        together.lead("the targets' folder", lambda: held.enter_context(stage.locked()))
        missing = [f for f in missing if not store.has(f)]  # another process may have written them meanwhile
        _compute(bench, ensemble, store, own, missing, "targets" if last else "targets of the first generation")
        together.wait("the targets of all processes")
        measured = {
            "frames": len(frames),
            "members": ensemble.count,
            # for all frames, at the rate of those that were computed now
            "seconds": round((time.perf_counter() - began) * len(own) / max(1, len(missing)), 1),
        }
        facts = together.lead(
            "the size of the targets", lambda: measured | {"bytes_per_frame": store.mean_size(frames)}
        )
        stage.finish(facts, [])
    return store, facts, stage.key


def _compute(
    bench: Workbench,
    ensemble: Ensemble,
    store: TargetStore,
    own: Sequence[FrameInfo],
    missing: Sequence[FrameInfo],
    title: str,
) -> None:
    """Compute this process's share of the targets; on Ctrl-C the frames that are done stay."""
    damaged = sum(store.path(f).exists() for f in missing)
    with Progress(title, bench.log) as progress, Interrupt() as interrupt:
        progress.begin(len(own), len(own) - len(missing))
        if damaged:
            progress.note(f"{damaged} stored targets are damaged, and are computed again")
        for done, frame in enumerate(missing, len(own) - len(missing) + 1):
            store.write(frame, predict_targets(bench, ensemble, frame))
            progress.step(done)
            if interrupt.requested:
                raise KeyboardInterrupt


def predict_targets(bench: Workbench, ensemble: Ensemble, frame: FrameInfo) -> dict[str, SoftMap]:
    """The ensemble's prediction for one frame, at the stride of the targets."""
    inputs = encode_inputs(bench.frames, frame, bench.recipe.teacher.modalities)
    height, width = next(iter(inputs.values())).shape[-2:]
    stride = bench.recipe.targets.stride
    batch = ensemble.largest_batch
    doing = f"running {batch} passes of the ensemble at once on a frame of {height}×{width}"
    fix = f"lower ensemble.at_once ({batch}) or the largest of ensemble.scales"
    with enough_memory(doing, "ensemble.at_once", fix):
        predictions = ensemble.predict(inputs, (max(1, height // stride), max(1, width // stride)), frame)
    out = {}
    for task in bench.tasks:
        soft = predictions[task.name].soft[0].permute(1, 2, 0).cpu().numpy()
        agreement = 1.0 - predictions[task.name].disagreement[0].cpu().numpy()
        out[task.name] = SoftMap(np.ascontiguousarray(soft), agreement)
    return out
