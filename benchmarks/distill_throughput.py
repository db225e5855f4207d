"""Student images per second in a distillation step: edgekit with cached targets beside torchdistill.

    python benchmarks/distill_throughput.py [--steps 20] [--threads 1] [--quick] [--json]

Needs torchdistill in the same environment (`pip install torchdistill`); without it the output says so and holds
edgekit's side alone. Both sides have the same student, teachers, frames, augmentation, batch size, soft-target loss at
the same resolution, optimiser and threads, and load their data in the training thread; they take turns within one run.
The teachers are untrained: their weights do not change the time. edgekit asks them once per frame, which is timed too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from results import provenance, table, write_section
from torch import Tensor, nn

from edgekit.data.batches import Batches, BatchPlan
from edgekit.distill.objective import StudentObjective
from edgekit.distill.targets import TargetStore
from edgekit.pipeline.targets import build_ensemble, predict_targets
from edgekit.pipeline.training import untrained_student
from edgekit.pipeline.workbench import Workbench
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.teachers.ensemble import Ensemble, Member
from edgekit.teachers.multimodal import MultiModal
from edgekit.training.memory import keep_freed_memory

GOAL = 3.0
RECIPE = """\
name: throughput
data: {source: scenes, size: [112, 192], scenes: {train: 1, val: 0, test: 0}, frames_per_scene: 16}
tasks: {semantic: {}}
teacher:
  modalities: [rgb, hsv, edges]
  members: [{family: repseg, width: 32, seed: 0}, {family: repseg, width: 32, seed: 1}]
  masking: {keep: [rgb]}
  train: {precision: fp32}
ensemble: {maskings: 3}
student: {name: repseg}
distill:
  losses: {soft: {}}
  supervised: 0
  agreement: false
  train: {batch_size: 8, labelled_share: 0, crop: [112, 192], precision: fp32, augment: {colour: 0.2}}
evaluate: {split: train}
"""


class Stacked(nn.Module):
    """The ensemble as one module for torchdistill: modalities on the channel axis → logits at the student's size."""

    def __init__(self, ensemble: Ensemble, sizes: dict[str, int], stride: int):
        super().__init__()
        self.networks = nn.ModuleList(ensemble.networks)
        self._ensemble, self._sizes, self._stride = [ensemble], sizes, stride

    def forward(self, x: Tensor) -> Tensor:
        inputs = dict(zip(self._sizes, x.split(list(self._sizes.values()), dim=1), strict=True))
        size = tuple(s // self._stride for s in x.shape[-2:])
        return self._ensemble[0].predict(inputs, size)["semantic"].soft.clamp(min=1e-5).log()


class FromRgb(nn.Module):
    """The student for torchdistill: takes rgb from the stacked modalities."""

    def __init__(self, student: nn.Module):
        super().__init__()
        self.student = student

    def forward(self, x: Tensor) -> Tensor:
        return self.student(x[:, :3])["semantic"]


class Frames(torch.utils.data.Dataset):
    """Augmented frames, one by one, as edgekit makes them for its own batches."""

    def __init__(self, batches: Batches, count: int):
        self._batches, self._count = batches, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return torch.cat(list(self._batches[number].inputs.values()), dim=1)[0], 0


def batches_of(bench: Workbench, inputs: list[str], size: int, targets=None) -> Batches:
    train = bench.recipe.distill.train
    frames = bench.frames.frames("train")
    plan = BatchPlan([], frames, size, 0, train.crop, inputs, list(bench.recipe.tasks), train.augment, 0)
    plan.targets, plan.target_stride = targets, bench.recipe.targets.stride
    return Batches(bench.frames, plan)


def edgekit_step(bench: Workbench, store: TargetStore) -> Callable[[], None]:
    """A function that does one step, everything included."""
    student = untrained_student(bench).to(memory_format=torch.channels_last).train()
    objective = StudentObjective(student, bench.recipe.distill, bench.recipe.weights())
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-4)
    batches = batches_of(bench, ["rgb"], bench.recipe.distill.train.batch_size, store.read)
    numbers = iter(range(10**9))

    def step() -> None:
        terms = objective(batches[next(numbers)])
        optimiser.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        optimiser.step()

    return step


def import_torchdistill() -> tuple[Callable | None, str]:
    """(get_distillation_box, what to know of it); None and why where it cannot be imported.

    torchdistill imports torchvision for its model zoo. Beside a CPU build of torch, torchvision's compiled operators
    cannot be loaded, and importing it stops where it describes them. They are declared here, by name alone: distilling
    calls none of them, and torchdistill's own code is untouched.
    """
    library, declared = torch.library.Library("torchvision", "FRAGMENT"), []
    while True:
        try:
            from torchdistill.core.distillation import get_distillation_box

            break
        except RuntimeError as error:
            name = str(error).removeprefix("operator torchvision::").removesuffix(" does not exist")
            if not name.isidentifier() or name in declared:
                return None, f"torchdistill cannot be imported: {error}"
            _forget("torchvision", "torchdistill")
            library.define(f"{name}(Tensor x) -> Tensor")
            declared.append(name)
        except ImportError as error:
            return None, f"torchdistill cannot be imported: {error}"
    import_torchdistill.keep = library  # operators vanish with the library that declared them
    if not declared:
        return get_distillation_box, ""
    names = ", ".join(declared)
    return get_distillation_box, f"torchvision's operators {names} are declared without code; nothing calls them."


def _forget(*packages: str) -> None:
    import sys

    for name in [n for n in sys.modules if n.split(".")[0] in packages]:
        del sys.modules[name]


def torchdistill_step(get_box: Callable, bench: Workbench, ensemble: Ensemble) -> Callable[[], None]:
    """The same with torchdistill's own distillation box: its loader, its forward and post-forward processes."""
    train = bench.recipe.distill.train
    sizes = {t.name: ensemble.networks[0].sizes[t.name] for t in bench.modalities}
    frames = Frames(batches_of(bench, list(sizes), 1), 10**6)
    kd = {
        "key": "KDLoss",
        "kwargs": {
            **{"student_module_path": ".", "student_module_io": "output", "teacher_module_path": "."},
            **{"teacher_module_io": "output", "temperature": 1.0, "alpha": 0.0},
        },
    }
    config = {
        "num_epochs": 1,
        "train_data_loader": {
            "dataset_id": "frames",
            "requires_supp": False,
            "sampler": {"class_or_func": torch.utils.data.SequentialSampler, "kwargs": {}},
            "kwargs": {"batch_size": train.batch_size, "num_workers": 0},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False, "sequential": []},
        "student": {"forward_proc": "forward_batch_only", "sequential": []},
        "optimizer": {"key": "AdamW", "kwargs": {"lr": 1e-4}},
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": {"criterion": kd, "weight": 1.0}}}},
    }
    student = FromRgb(untrained_student(bench)).to(memory_format=torch.channels_last)
    teacher = Stacked(ensemble, sizes, bench.recipe.targets.stride)
    box = get_box(teacher, student, {"frames": frames}, config, torch.device("cpu"), None, False, 1)
    box.student_model.train()
    box.teacher_model.eval()
    samples = iter(box.train_data_loader)

    def step() -> None:
        batch, label = next(samples)
        box.post_forward_process(box.forward_process(batch, label))

    return step


def in_turn(steps: dict[str, Callable[[], None]], count: int) -> dict[str, list[float]]:
    """Seconds of each step, the sides taking turns, after two that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(count + 2):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if number >= 2:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def cases(bench: Workbench) -> Iterator[tuple[str, Ensemble]]:
    networks = []
    for member in bench.recipe.teacher.members:
        torch.manual_seed(member.seed)
        networks.append(MultiModal(member, bench.modalities, bench.tasks, bench.statistics).eval())
    everything = [t.name for t in bench.modalities]
    yield "one network, one pass", Ensemble(networks[:1], [Member(0, (True,) * len(everything))], precision="fp32")
    ensemble = build_ensemble(bench, networks)
    yield f"{len(networks)} networks, {len(ensemble.members)} members", ensemble


def measure(folder: Path, steps: int, get_box: Callable | None) -> list[dict]:
    """One entry per teacher: images per second of both sides."""
    (folder / "throughput.yaml").write_text(RECIPE)
    recipe = load_recipe(Recipe, folder / "throughput.yaml")
    bench = Workbench.open(recipe, folder, folder / "runs", folder / "log.jsonl")
    frames, size = bench.frames.frames("train"), recipe.distill.train.batch_size
    found = []
    for number, (name, ensemble) in enumerate(cases(bench)):
        store = TargetStore(folder / f"targets-{number}", bench.tasks, recipe.targets)
        began = time.perf_counter()
        for frame in frames:
            store.write(frame, predict_targets(bench, ensemble, frame))
        once = (time.perf_counter() - began) / len(frames)
        sides = {"edgekit": edgekit_step(bench, store)}
        if get_box:
            sides["torchdistill"] = torchdistill_step(get_box, bench, ensemble)
        seconds = in_turn(sides, steps)
        rates = {side: size / statistics.median(times) for side, times in seconds.items()}
        entry = {"teacher": name, "images_per_second": rates, "target_seconds_per_frame": once}
        if get_box:
            entry["ratio"] = rates["edgekit"] / rates["torchdistill"]
            entry["spread"] = {side: [size / max(t), size / min(t)] for side, t in seconds.items()}
            # the targets are paid back when the frames were seen this many times
            saved = 1 / rates["torchdistill"] - 1 / rates["edgekit"]
            entry["epochs_until_targets_are_paid"] = once / saved if saved > 0 else None
        found.append(entry)
    return found


def markdown(found: list[dict], note: str, threads: int, steps: int) -> str:
    rows = []
    for entry in found:
        rates = entry["images_per_second"]
        paid = entry.get("epochs_until_targets_are_paid")
        rows.append(
            [
                entry["teacher"],
                f"{rates['edgekit']:.1f}",
                f"{rates['torchdistill']:.1f}" if "torchdistill" in rates else "not run",
                f"{entry['ratio']:.2f}×" if "ratio" in entry else "-",
                f"{1000 * entry['target_seconds_per_frame']:.0f} ms",
                "-" if paid is None else f"{paid:.1f}",
            ]
        )
    header = ["teacher", "edgekit, images/s", "torchdistill, images/s", "ratio", "targets, once per frame", "paid back"]
    goal = []
    if "ratio" in found[-1]:
        verdict = "holds" if found[-1]["ratio"] >= GOAL else "**does not hold**"
        goal = [f"Goal: at least {GOAL:g} times torchdistill with the ensemble: {verdict} ({found[-1]['ratio']:.2f})."]
    about = (
        f"Medians of {steps} steps, in turns, {threads} thread(s); batches of 8 frames of 112×192, repseg student, "
        "teachers of the same family and width that see rgb, hsv and edges; augmentation and reading included. "
        "*Paid back*: after how many passes over the frames the targets, computed once, have cost less than asking the "
        "teacher at every step. torchdistill asks it at every step; it has no cache of what teachers say."
    )
    packages = ("torch", "torchdistill", "torchvision")
    return "\n\n".join(x for x in [provenance(packages), table(header, rows), about, note, *goal] if x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each side (default 20)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on both sides (default 1)")
    parser.add_argument("--quick", action="store_true", help="three steps, and nothing is written to RESULTS.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    steps = 3 if given.quick else given.steps
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    get_box, note = import_torchdistill()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), steps, get_box)
    text = markdown(found, note, given.threads, steps)
    if not given.quick:
        write_section("Distillation steps: edgekit with cached targets beside torchdistill", text)
    print(json.dumps({"teachers": found, "note": note, "threads": given.threads}) if given.json else text)


if __name__ == "__main__":
    main()
