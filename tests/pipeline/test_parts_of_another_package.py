"""A package that edgekit knows nothing of offers one part of every sort; a recipe names them, trains and exports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.data.modalities import COMPUTED
from edgekit.distill.config import DistillConfig
from edgekit.errors import EdgekitError
from edgekit.losses import LOSSES
from edgekit.pipeline.run import Run
from edgekit.pipeline.workbench import open_data
from edgekit.recipe.foreign import foreign_parts
from edgekit.recipe.load import dump, load_recipe, recipe_hash
from edgekit.recipe.schema import Recipe

MODULES = {
    "network.py": """
from torch import nn
from edgekit.students.registry import StudentSpec

class Flat(nn.Module):
    "Three convolutions."
    stride = 1
    def __init__(self, in_channels, out_channels, *, width):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(width, out_channels, 1)
    def features(self, x):
        return self.body(x)
    def forward(self, x):
        return self.head(self.features(x))

STUDENT = StudentSpec("flat", {"width": 16}, "as flat as can be")
""",
    "loss.py": """
from edgekit.losses.loss import DistillationLoss, LossConfig, weighted_mean

class Config(LossConfig):
    power: float = 2.0

class Brier(DistillationLoss):
    Config = Config
    kinds = frozenset({"semantic"})
    def __call__(self, raw, soft, weight):
        return weighted_mean((raw.softmax(1) - soft).abs().pow(self.config.power).sum(1), weight)
""",
    "source.py": """
from pydantic import BaseModel, ConfigDict
import numpy as np
from edgekit.data.registry import SourceEntry
from edgekit.data.source import FrameInfo
from edgekit.tasks import Task

class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    frames: int = 4
    sizes: dict[str, int] = {"height": 48, "width": 64}

class Stripes:
    sequential = False
    def __init__(self, config, base, cache):
        self._config = config
        self.tasks = {"rgb": Task("rgb", "modality", channels=3, range=(0.0, 255.0)),
                      "semantic": Task("semantic", "semantic", classes=("even", "odd"))}
    def splits(self):
        return ("train", "val")
    def frames(self, split):
        return [FrameInfo(f"{split}{i}", split, i, split, True) for i in range(self._config.frames)]
    def read(self, frame, names):
        sizes = self._config.sizes
        label = np.tile(np.arange(sizes["width"]) // (4 + frame.index) % 2, (sizes["height"], 1)).astype(np.uint8)
        maps = {"semantic": label, "rgb": np.stack([200 * label, 90 + 0 * label, 200 - 150 * label], -1)}
        return {name: maps[name] for name in names if name in maps}
    def fingerprint(self):
        return f"stripes {self._config.frames}"
    def flow(self, frame):
        return None

ENTRY = SourceEntry(Config, Stripes)
""",
    "observer.py": """
from edgekit.quantize.observers import Observer

class Almost(Observer):
    counting = False
    def threshold(self, seen):
        return 0.9 * seen.largest
""",
    "inverted.py": """
from edgekit.data.modalities import Computed
from edgekit.tasks import Task

INVERTED = Computed(Task("inverted", "modality", channels=3, range=(0.0, 255.0)), lambda rgb: 255 - rgb)
""",
    "teacher.py": """
from typing import Literal
import torch
from edgekit.teachers.external.config import ExternalCommon
from edgekit.teachers.external.model import ExternalModel

class Config(ExternalCommon):
    kind: Literal["coin"]
    heads: float = 0.5

class Coin(ExternalModel):
    Config = Config
    def __init__(self, config, setting):
        self._heads = config.heads
    def key(self):
        return "coin"
    def raw(self, frame, maps, size):
        heads = torch.full((1, 1, *size), self._heads)
        return {"semantic": torch.cat([heads, 1 - heads], 1)}
""",
    "backend.py": """
from edgekit.runtime.onnxruntime.backend import OnnxRuntime

class Loud(OnnxRuntime):
    name = "loud"
""",
    "unnamed.py": "raise RuntimeError('imported though no recipe names it')",
}
POINTS = {
    "edgekit.networks": {"flat": "other_parts.network:Flat", "unnamed": "other_parts.unnamed:X"},
    "edgekit.students": {"flat-16": "other_parts.network:STUDENT", "unnamed-16": "other_parts.unnamed:X"},
    "edgekit.losses": {"brier": "other_parts.loss:Brier", "unnamed": "other_parts.unnamed:X"},
    "edgekit.sources": {"stripes": "other_parts.source:ENTRY", "unnamed": "other_parts.unnamed:X"},
    "edgekit.observers": {"almost": "other_parts.observer:Almost", "unnamed": "other_parts.unnamed:X"},
    "edgekit.modalities": {"inverted": "other_parts.inverted:INVERTED", "unnamed": "other_parts.unnamed:X"},
    "edgekit.external_teachers": {"coin": "other_parts.teacher:Coin", "unnamed": "other_parts.unnamed:X"},
    "edgekit.backends": {"loud": "other_parts.backend:Loud", "unnamed": "other_parts.unnamed:X"},
}
RECIPE = """\
name: foreign
data: {source: stripes, frames: 3}
tasks: {semantic: {}}
teacher:
  modalities: [rgb, inverted]
  members: [{family: flat, width: 4}]
  external: [{name: coin, kind: coin, heads: 0.25, outputs: {semantic: {classes: [even, odd], form: probabilities}}}]
  train: &train {steps: 2, batch_size: 2, crop: [32, 32], warmup: 1, precision: fp32, workers: 1}
ensemble: {maskings: 1, flips: false, scales: [1.0]}
student: {name: flat-16}
distill: {losses: {brier: {power: 3}}, train: *train}
evaluate: {pictures: 0}
require: {student_beats_baseline: false}
export: {quantize: {observer: almost, frames: 2, recover: false, gate: {semantic: 100}}}
"""


@pytest.fixture
def recipe(install_package, tmp_path) -> Path:
    install_package("other-parts", MODULES, POINTS)
    path = tmp_path / "foreign.yaml"
    path.write_text(RECIPE)
    return path


def test_a_recipe_of_foreign_parts_is_read_written_and_overridden(recipe, tmp_path):
    loaded = load_recipe(Recipe, recipe)
    assert "other_parts.network" not in sys.modules  # to read is not to build
    assert loaded.data.frames == 3 and loaded.distill.losses.brier.power == 3
    assert loaded.teacher.external[0].heads == 0.25 and set(loaded.distill.active()) == {"brier"}
    written = tmp_path / "written.yaml"
    written.write_text(dump(loaded))
    assert load_recipe(Recipe, written) == loaded
    assert foreign_parts(loaded, open_data(loaded, tmp_path).tasks | {"inverted": COMPUTED["inverted"].task}) == [
        *("edgekit.external_teachers coin: other-parts 1.0", "edgekit.losses brier: other-parts 1.0"),
        *("edgekit.modalities inverted: other-parts 1.0", "edgekit.networks flat: other-parts 1.0"),
        *("edgekit.sources stripes: other-parts 1.0", "edgekit.students flat-16: other-parts 1.0"),
    ]
    changes = ("data.sizes.height=32", "distill.losses.soft.weight=2", "teacher.external.0.heads=0.5")
    changed = load_recipe(Recipe, recipe, changes)
    assert changed.data.sizes == {"height": 32, "width": 64} and changed.teacher.external[0].heads == 0.5
    assert set(changed.distill.active()) == {"soft", "brier"}
    above = tmp_path / "above.yaml"
    above.write_text("extends: foreign.yaml\ndata: {frames: 5}\ndistill: {losses: {brier: {weight: 4}}}\n")
    both = load_recipe(Recipe, above)
    assert both.data.frames == 5 and both.distill.losses.brier.model_dump() == {"weight": 4, "power": 3}


def test_what_was_imported_before_changes_no_other_recipe(recipe, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("name: own\ndata: {source: scenes}\ntasks: {depth: {}}\ndistill: {losses: {soft: {}}}\n")
    before, _ = load_recipe(Recipe, path), load_recipe(Recipe, recipe)
    after = load_recipe(Recipe, path)
    assert after == before and dump(after) == dump(before) and recipe_hash(after) == recipe_hash(before)
    assert set(dict(after.distill.losses)) == set(LOSSES.own())
    assert DistillConfig(losses=before.distill.losses).active() == after.distill.active()


@pytest.mark.parametrize(
    ("written", "wrong", "what", "fix"),
    [
        ("source: stripes", "source: strips", "unnamed", "did you mean 'stripes'?"),
        ("name: flat-16", "name: flat-15", "unnamed-16", "did you mean 'flat-16'?"),
        ("brier", "bier", "unnamed", "did you mean 'brier'?"),
        ("kind: coin", "kind: coins", "unnamed", "did you mean 'coin'?"),
        ("observer: almost", "observer: almots", "unnamed", "did you mean 'almost'?"),
        ("family: flat", "family: flet", "unnamed", "did you mean 'flat'?"),
        ("frames: 3", "frame: 3", "sizes", "did you mean 'frames'?"),
        ("frames: 3", "frames: three", "a valid integer", "correct it there"),
        ("power: 3", "pover: 3", "weight, power", "did you mean 'power'?"),
        ("heads: 0.25", "head: 0.25", "heads", "did you mean 'heads'?"),
    ],
)
def test_what_is_wrong_with_them_is_told_as_of_our_own(recipe, written, wrong, what, fix):
    recipe.write_text(RECIPE.replace(written, wrong, 1))
    with pytest.raises(EdgekitError) as caught:
        load_recipe(Recipe, recipe)
    assert what in caught.value.what and caught.value.fix == fix
    assert str(recipe) in caught.value.where and "other_parts.unnamed" not in sys.modules


def test_they_train_export_and_run(recipe, tell, tmp_path):
    done = tell("distill", recipe, "--out", tmp_path / "runs")
    assert done.code == 0, done.err
    assert done.found["teachers"] and done.found["members"] == 2  # one pass, one coin
    assert set(done.found["scores"]) == {
        "single_all",
        "single_rgb",
        "external coin",
        "networks",
        "ensemble",
        "baseline",
        "student",
    }
    assert "semantic.brier" in (Path(done.found["run"]) / "log.jsonl").read_text()
    bundle = tmp_path / "bundle"
    exported = tell("export", done.found["run"], "--out", bundle)
    assert exported.code == 0, exported.found
    assert open_bundle(bundle).manifest.ranges.observer == "almost"
    verified = tell("evaluate", bundle, "--recipe", done.found["run"], "--backend", "loud")
    assert verified.code == 0 and any(row.endswith("by loud") for row in verified.found["ran"])
    assert "other_parts.unnamed" not in sys.modules

    run = Run.open(Path(done.found["run"]))
    before = run.bench().data_key
    (about,) = tmp_path.glob("site-*/*.dist-info/METADATA")
    about.write_text(about.read_text().replace("Version: 1.0", "Version: 1.1"))
    assert before != run.bench().data_key  # nothing is reused of what another version made


def test_without_the_package_the_error_says_what_there_is(tmp_path):
    path = tmp_path / "foreign.yaml"
    path.write_text(RECIPE.replace("stripes", "stripes_of_nobody"))
    with pytest.raises(EdgekitError) as caught:
        load_recipe(Recipe, path)
    assert "should be one of scenes, image_folder, dronescapes" in caught.value.what
