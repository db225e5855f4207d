"""What holds for every kind, and the registry. A new kind adds one row to EXAMPLES."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest

import edgekit.tasks
from edgekit.errors import EdgekitError
from edgekit.tasks import KINDS, Task, kind_of
from edgekit.tasks.colours import turbo

RNG = np.random.default_rng(3)
NORMALS = np.dstack([np.full((6, 8), 0.6), np.zeros((6, 8)), np.full((6, 8), -0.8)]).astype(np.float32)
EXAMPLES = {
    "semantic": (Task("t", "semantic", classes=("a", "b")), RNG.integers(0, 2, (6, 8), dtype=np.uint8)),
    "depth": (Task("t", "depth", range=(1.0, 90.0), unit="m"), RNG.uniform(1, 90, (6, 8)).astype(np.float32)),
    "normals": (Task("t", "normals"), NORMALS),
    "binary": (Task("t", "binary"), RNG.integers(0, 2, (6, 8), dtype=np.uint8)),
    "modality": (Task("t", "modality", channels=2), RNG.random((6, 8, 2), dtype=np.float32)),
}
PERFECT = {"miou": 1, "absrel": 0, "mean_angle": 0, "iou": 1}


def test_every_kind_has_an_example():
    assert set(EXAMPLES) == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_a_map_survives_the_way_through_a_network(name):
    task, array = EXAMPLES[name]
    kind = kind_of(task)
    kind.validate(task, array, "here")
    encoded = kind.encode(task, array)
    assert encoded.shape == (6, 8, kind.channels(task)) and encoded.dtype == np.float32
    decoded = kind.decode(task, encoded.transpose(2, 0, 1))
    kind.validate(task, decoded, "here")
    np.testing.assert_allclose(decoded, array, rtol=1e-5)
    raw = RNG.normal(size=(kind.channels(task), 6, 8)).astype(np.float32)
    soft = kind.activation(task, raw)
    assert soft.shape == raw.shape and soft.dtype == np.float32
    kind.validate(task, kind.decode(task, soft), "here")
    assert kind.interpolation in ("nearest", "linear", "area")


@pytest.mark.parametrize("name", KINDS)
def test_pictures_are_pictures(name):
    task, array = EXAMPLES[name]
    kind = kind_of(task)
    pictures = [kind.picture(task, array)]
    if kind.predictable:
        pictures.append(kind.error_picture(task, array, array))
    for picture in pictures:
        assert picture.shape == (6, 8, 3) and picture.dtype == np.uint8


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.predictable])
def test_a_perfect_prediction_has_the_best_primary_metric_and_a_mirrored_pair_the_same_score(mirror, name):
    task, array = EXAMPLES[name]
    kind = kind_of(task)
    meter = kind.meter(task)
    meter.update(array, array, "a")
    assert meter.result()[kind.primary.name] == pytest.approx(PERFECT[kind.primary.name])
    assert kind.primary.higher_is_better == (PERFECT[kind.primary.name] == 1)

    shifted = np.roll(array, 1, axis=0)
    plain, mirrored = kind.meter(task), kind.meter(task)
    plain.update(shifted, array, "a")
    mirrored.update(mirror(task, shifted), mirror(task, array), "a")
    assert mirrored.result()[kind.primary.name] == pytest.approx(plain.result()[kind.primary.name])


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(EdgekitError) as caught:
        kind_of(Task("x", "segmentation"))
    assert "segmentation" in caught.value.what and "semantic" in caught.value.fix


def test_the_room_imports_numpy_and_edgekit_only():
    for file in Path(edgekit.tasks.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for module in names:
                root = module.split(".")[0]
                assert root in {"numpy", "edgekit"} | sys.stdlib_module_names, f"{file.name} imports {module}"


def test_turbo_follows_the_published_map():
    values = np.linspace(0, 1, 201)[None]
    reference = 255 * matplotlib.colormaps["turbo"](values)[..., :3]
    assert np.abs(turbo(values) - reference).max() < 10  # of 255; the map is interpolated between 16 colours
    assert turbo(np.array([[np.nan]])).tolist() == [[[64, 64, 64]]]
