"""What edgekit's training and targets cost beside a plain PyTorch loop with the same networks.

    python benchmarks/training_cost.py [--steps 15] [--rounds 5] [--threads 1] [--quick] [--json]

Needs timm. The plain loop has its batch in memory already and does nothing but forward, loss, backward and optimiser;
its targets are forward passes alone. edgekit's side reads, augments, averages weights, compares, compresses and writes
too, so 100 % would mean that all of that is free. The two take turns within one run; weights are untrained, which
changes no time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from results import provenance, table, write_section
from torch import Tensor, nn

from edgekit.data.batches import Batches, BatchPlan
from edgekit.distill.objective import StudentObjective
from edgekit.distill.targets import TargetStore
from edgekit.networks import FAMILIES, parameter_count
from edgekit.pipeline.targets import build_ensemble, predict_targets
from edgekit.pipeline.training import untrained_student
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.teachers.multimodal import MultiModal
from edgekit.teachers.objective import TeacherObjective
from edgekit.training.loop import train
from edgekit.training.memory import keep_freed_memory
from edgekit.training.optimiser import optimiser_of
from edgekit.training.progress import Progress

GOAL = 0.7  # of the bare passes, for targets
SIZE, CROP, BATCH = (320, 480), (160, 240), 8
SCALES = (0.5, 0.75, 1.0)
RECIPE = f"""\
name: cost
data: {{source: scenes, size: {list(SIZE)}, scenes: {{train: 1, val: 0, test: 0}}, frames_per_scene: 24}}
tasks: {{semantic: {{}}}}
teacher:
  modalities: [rgb]
  members: [{{family: timm, encoder: tf_efficientnet_lite0, weights: none}}]
  train: &train {{batch_size: {BATCH}, crop: {list(CROP)}, precision: fp32, label_stride: 2, augment: {{colour: 0.3}}}}
ensemble: {{maskings: 1, vertical_flips: true, scales: {list(SCALES)}}}
student: {{name: repseg}}
distill: {{train: *train}}
evaluate: {{split: train}}
"""

Side = Callable[[int], None]
"""Does so many steps, or frames."""


@dataclass
class Row:
    """Images per second of both sides, medians; ``share``: median over rounds of edgekit's rate over the plain one."""

    what: str
    edgekit: float
    plain: float
    share: float


def compare(what: str, edgekit: Side, plain: Side, steps: int, images: int, rounds: int) -> Row:
    """Both sides in turns, after one round that does not count. ``images`` per step."""
    rates = []
    for _ in range(rounds + 1):
        pair = []
        for side in (edgekit, plain):
            began = time.perf_counter()
            side(steps)
            pair.append(images * steps / (time.perf_counter() - began))
        rates.append(pair)
    ours, theirs = zip(*rates[1:], strict=True)
    return Row(what, median(ours), median(theirs), median(a / b for a, b in zip(ours, theirs, strict=True)))


def training(
    bench: Workbench, network: nn.Module, objective, family: str, inputs: list[str], targets, folder: Path
) -> Side:
    """edgekit's own loop: batches, augmentation, averaged weights, checkpoints."""
    config = bench.recipe.distill.train.resolved(FAMILIES[family])
    frames, numbers = bench.frames.frames("train"), count()
    plan = BatchPlan(frames, [], BATCH, BATCH, CROP, inputs, list(bench.recipe.tasks), config.augment, 0)
    plan.targets, plan.target_stride, plan.label_stride = targets, bench.recipe.targets.stride, config.label_stride
    batches = Batches(bench.frames, plan)

    def side(steps: int) -> None:
        with Progress("cost", folder / "log.jsonl") as progress:
            own = config.model_copy(update={"steps": steps})
            train(network, objective, batches, own, folder=folder / f"{family}-{next(numbers)}", progress=progress)

    return side


def plain_training(network: nn.Module, forward: Callable[[Tensor], Tensor], config, classes: int, soft: bool) -> Side:
    """Forward, cross-entropy at the labels' size (and against soft targets at a quarter), backward, optimiser."""
    network.to(memory_format=torch.channels_last).train()
    optimiser = optimiser_of(network, config)
    x = torch.randn(BATCH, 3, *CROP).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(classes, (BATCH, CROP[0] // config.label_stride, CROP[1] // config.label_stride))
    targets = torch.randn(BATCH, classes, CROP[0] // 4, CROP[1] // 4).softmax(1)

    def side(steps: int) -> None:
        for _ in range(steps):
            optimiser.zero_grad(set_to_none=True)
            output = forward(x)
            loss = F.cross_entropy(F.interpolate(output, size=labels.shape[-2:], mode="bilinear"), labels)
            if soft:
                loss = loss + F.cross_entropy(F.interpolate(output, size=targets.shape[-2:], mode="bilinear"), targets)
            loss.backward()
            optimiser.step()

    return side


def bare_passes(network: MultiModal, members) -> Side:
    """What the ensemble's members cost as forward passes: same sizes, frames in memory."""
    sizes = [tuple(round(s * m.scale) for s in SIZE) for m in members]
    frames = {size: torch.randn(1, 3, *size) for size in sizes}
    visible = torch.ones(1, dtype=torch.bool)

    def side(steps: int) -> None:
        with torch.no_grad():
            for _ in range(steps):
                for size in sizes:
                    network(frames[size], visible)

    return side


def measure(folder: Path, steps: int, rounds: int) -> tuple[list[Row], dict[str, int]]:
    """A row each for teacher, targets and student; facts of the networks."""
    (folder / "cost.yaml").write_text(RECIPE)
    recipe = load_recipe(Recipe, folder / "cost.yaml")
    bench = Workbench.open(recipe, folder, folder / "runs", folder / "log.jsonl")
    classes, frames = len(bench.tasks[0].classes), bench.frames.frames("train")

    def teacher() -> MultiModal:
        torch.manual_seed(0)
        return MultiModal(recipe.teacher.members[0], bench.modalities, bench.tasks, bench.statistics)

    def logits(network: MultiModal) -> Callable[[Tensor], Tensor]:
        visible = torch.ones(1, dtype=torch.bool)
        return lambda x: network(x, visible)[bench.tasks[0].name]

    ours, theirs = teacher(), teacher()
    objective = TeacherObjective(ours, recipe.teacher, recipe.weights(), 0)
    config = recipe.teacher.train.resolved(FAMILIES["timm"])
    rows = [
        compare(
            "teacher steps",
            training(bench, ours, objective, "timm", ["rgb"], None, folder),
            plain_training(theirs, logits(theirs), config, classes, soft=False),
            steps,
            BATCH,
            rounds,
        )
    ]
    ensemble = build_ensemble(bench, [teacher().to(memory_format=torch.channels_last).eval()])
    store = TargetStore(folder / "targets", bench.tasks, recipe.targets)

    def targets(steps: int) -> None:
        for number in range(steps):
            frame = frames[number % len(frames)]
            store.write(frame, predict_targets(bench, ensemble, frame))

    bare = bare_passes(teacher().to(memory_format=torch.channels_last).eval(), ensemble.members)
    rows.append(compare(f"targets of {ensemble.count} members", targets, bare, max(2, steps // 5), 1, rounds))
    targets(len(frames))
    student, other = untrained_student(bench), untrained_student(bench)
    objective = StudentObjective(student, recipe.distill, recipe.weights())
    config = recipe.distill.train.resolved(FAMILIES["repseg"])
    rows.append(
        compare(
            "student steps",
            training(bench, student, objective, "repseg", ["rgb"], store.read, folder),
            plain_training(other, lambda x: other(x)[bench.tasks[0].name], config, classes, soft=True),
            steps,
            BATCH,
            rounds,
        )
    )
    return rows, {"teacher": parameter_count(ours), "student": parameter_count(student)}


def markdown(rows: list[Row], parameters: dict[str, int], threads: int) -> str:
    cells = [[r.what, f"{r.edgekit:.2f}", f"{r.plain:.2f}", f"{r.share:.0%}"] for r in rows]
    of_targets = next(r for r in rows if r.what.startswith("targets"))
    verdict = "holds" if of_targets.share >= GOAL else "**does not hold**"
    about = (
        f"Medians over rounds in turns, {threads} thread(s). Teacher: tf_efficientnet_lite0 with a decoder, "
        f"{parameters['teacher']:,} parameters; student: repseg, {parameters['student']:,}. Crops of "
        f"{CROP[0]}×{CROP[1]} in batches of {BATCH}; targets of frames of {SIZE[0]}×{SIZE[1]} at scales "
        f"{', '.join(map(str, SCALES))}, with all four mirrorings."
    )
    goal = f"- {verdict}: targets at {of_targets.share:.0%} of the rate of their bare forward passes (goal {GOAL:.0%})"
    header = ["what", "edgekit, images/s", "plain loop, images/s", "share"]
    return "\n\n".join([provenance(["torch", "timm"]), table(header, cells), about, goal])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=15, help="steps of each side per round (default 15)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on both sides (default 1)")
    parser.add_argument("--quick", action="store_true", help="two steps, one round, and nothing is written")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        steps, rounds = (2, 1) if given.quick else (given.steps, given.rounds)
        rows, parameters = measure(Path(folder), steps, rounds)
    text = markdown(rows, parameters, given.threads)
    if not given.quick:
        write_section("Training and targets beside a plain loop", text)
    print(json.dumps([asdict(row) for row in rows]) if given.json else text)


if __name__ == "__main__":
    main()
