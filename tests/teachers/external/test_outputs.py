"""From what a teacher says to probabilities, encoded depth and unit normals; by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgekit.errors import EdgekitError
from edgekit.tasks import Task, kind_of
from edgekit.teachers.external.config import OutputConfig
from edgekit.teachers.external.outputs import ExternalOutput

SEMANTIC = Task("semantic", "semantic", classes=("land", "water"))
METRES = Task("depth", "depth", range=(1.0, 100.0), unit="m")
RELATIVE = Task("near", "depth")
NORMALS = Task("normals", "normals", range=(-1.0, 1.0))
ROOF = Task("roof", "binary")


def soft(task: Task, raw, size=None, **config) -> np.ndarray:
    raw = torch.as_tensor(raw)
    return ExternalOutput(task, OutputConfig(**config), "here").soft(raw, size or tuple(raw.shape[-2:]))[0].numpy()


def pixel(*values: float) -> torch.Tensor:
    """(1, C, 1, 1)."""
    return torch.tensor(values).reshape(1, -1, 1, 1)


def test_logits_are_merged_as_probabilities():
    found = soft(
        SEMANTIC,
        pixel(1.0, 2.0, 3.0),
        classes=["soil", "sea", "river"],
        merge={"land": ["soil"], "water": ["sea", "river"]},
    )
    p = np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum()
    np.testing.assert_allclose(found[:, 0, 0], [p[0], p[1] + p[2]], rtol=1e-6)


def test_what_is_ignored_leaves_the_others_their_proportions():
    options = {"classes": ["land", "water", "cow"], "ignore": ["cow"], "form": "probabilities"}
    np.testing.assert_allclose(soft(SEMANTIC, pixel(0.1, 0.3, 0.6), **options)[:, 0, 0], [0.25, 0.75], rtol=1e-6)
    np.testing.assert_allclose(soft(SEMANTIC, pixel(0.0, 0.0, 1.0), **options)[:, 0, 0], [0.5, 0.5])


def test_indices_and_pixels_without_an_answer():
    raw = torch.tensor([[[[0, 1, 255]]]])
    found = soft(SEMANTIC, raw, form="indices", classes=["water", "land"])
    np.testing.assert_allclose(found[:, 0], [[0, 1, 0.5], [1, 0, 0.5]])


def test_some_channels_of_an_output_that_holds_several_tasks():
    found = soft(SEMANTIC, pixel(9.0, 9.0, 0.2, 0.8), channels=(2, 4), form="probabilities")
    np.testing.assert_allclose(found[:, 0, 0], [0.2, 0.8])


def test_metres_are_encoded_and_standardised_ones_undone():
    np.testing.assert_allclose(soft(METRES, pixel(10.0))[0, 0], [0.5], rtol=1e-6)
    np.testing.assert_allclose(soft(METRES, pixel(-1.0), mean=[30.0], std=[20.0])[0, 0], [0.5], rtol=1e-6)
    np.testing.assert_allclose(soft(RELATIVE, pixel(0.25))[0, 0], [0.25])


def test_normals_stored_and_as_vectors():
    np.testing.assert_allclose(soft(NORMALS, pixel(0.0, 0.0, -3.0))[:, 0, 0], [0, 0, -1])
    np.testing.assert_allclose(soft(NORMALS, pixel(1.0, 0.5, 0.5), form="stored")[:, 0, 0], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(soft(NORMALS, pixel(0.0, 0.0, 0.0))[:, 0, 0], [0, 0, -1])


def test_binary_forms():
    np.testing.assert_allclose(soft(ROOF, pixel(0.0)).ravel(), [0.5])
    np.testing.assert_allclose(soft(ROOF, pixel(0.3), form="probabilities").ravel(), [0.3], rtol=1e-6)
    found = soft(ROOF, torch.tensor([[[[0, 1, 255]]]]), form="indices")
    np.testing.assert_allclose(found.ravel(), [0, 1, 0.5])


def test_every_soft_map_is_one_at_any_size():
    rng = np.random.default_rng(0)
    for size in ((3, 5), (12, 20), (6, 10)):
        p = soft(SEMANTIC, rng.normal(size=(1, 2, 6, 10)).astype(np.float32), size)
        assert p.shape == (2, *size)
        np.testing.assert_allclose(p.sum(0), 1, rtol=1e-5)
        n = soft(NORMALS, rng.normal(size=(1, 3, 6, 10)).astype(np.float32), size)
        np.testing.assert_allclose(np.linalg.norm(n, axis=0), 1, rtol=1e-5)


def test_a_modality_keeps_its_values_and_has_a_native_map():
    task = Task("features", "modality", channels=2)
    output = ExternalOutput(task, OutputConfig(), "here")
    value = output.soft(pixel(3.0, -4.0), (1, 1))
    native = output.native(value)
    assert native.tolist() == [[[3.0, -4.0]]]
    kind_of(task).validate(task, native, "here")


COW = {"classes": ["land", "water", "cow"], "ignore": ["cow"]}
REFUSED = {
    "too few channels": (SEMANTIC, pixel(1.0, 2.0), COW, "2 channels, expected 3: land, water, cow"),
    "too many channels": (METRES, pixel(1.0, 2.0), {}, "2 channels, expected 1"),
    "channels there are not": (SEMANTIC, pixel(1.0, 2.0), {"channels": (1, 3)}, "channels 1 to 2"),
    "negative probability": (SEMANTIC, pixel(-1.0, 2.0), {"form": "probabilities"}, "negative"),
    "a probability over 1": (ROOF, pixel(2.0), {"form": "probabilities"}, "outside 0-1"),
    "a class there is not": (SEMANTIC, torch.tensor([[[[2]]]]), {"form": "indices"}, "class 2"),
    "NaN": (METRES, pixel(float("nan")), {}, "NaN"),
    "statistics of other channels": (NORMALS, pixel(0.0, 0.0, 1.0), {"mean": [0, 0], "std": [1, 1]}, "2 entries"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_answer_that_does_not_fit_is_told(case):
    task, raw, config, what = REFUSED[case]
    with pytest.raises(EdgekitError, match=what) as caught:
        soft(task, raw, **config)
    assert task.name in caught.value.what and caught.value.where == "here"


@pytest.mark.parametrize(
    ("task", "config"),
    [
        (SEMANTIC, {"form": "metres"}),
        (METRES, {"form": "relative"}),
        (RELATIVE, {"form": "metres"}),
        (NORMALS, {"form": "logits"}),
        (METRES, {"classes": ["a"]}),
    ],
)
def test_a_form_that_is_none_of_the_task(task, config):
    with pytest.raises(EdgekitError):
        ExternalOutput(task, OutputConfig(**config), "here")
