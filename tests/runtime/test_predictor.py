"""The Predictor: every frame size, colour order, lane and batch, against what the tiny network computes by hand."""

from __future__ import annotations

import numpy as np
import pytest

import edgekit
from edgekit.errors import EdgekitError

NAMES = ["semantic", "semantic_confidence", "depth", "normals"]


@pytest.fixture
def cells() -> np.ndarray:
    """A frame of the network's size, of cells of one colour each."""
    return np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)


def by_hand(tiny, frame: np.ndarray) -> dict[str, np.ndarray]:
    """What the network's description says of a frame whose every pixel has its cell's mean colour."""
    x = (frame - np.array(tiny.MEAN)) / tiny.STD
    p = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    return {
        "semantic": x.argmax(-1),
        "semantic_confidence": 255 * p.max(-1),
        "depth": 100 ** (frame.mean(-1) / 255),
        "normals": x / np.linalg.norm(x, axis=-1, keepdims=True),
    }


@pytest.mark.parametrize("lane", ["onnxruntime", "cache"])
def test_a_frame_of_the_networks_size(tiny, tiny_bundle, cells, lane):
    with edgekit.load(tiny_bundle, precision="fp32", lane=lane) as predictor:
        found = predictor.infer(cells)
    expected = by_hand(tiny, cells)
    assert list(found) == NAMES
    assert found["semantic"].dtype == found["semantic_confidence"].dtype == np.uint8
    assert (found["semantic"] == expected["semantic"]).all()
    assert np.abs(found["semantic_confidence"] - expected["semantic_confidence"]).max() < 0.51
    centre = np.s_[::4, ::4]  # maps of stride 4 are interpolated; at no pixel they are a cell's own value
    assert found["depth"].shape == (64, 96) and found["normals"].shape == (64, 96, 3)
    between = found["depth"].reshape(16, 4, 24, 4)[:, 1:3, :, 1:3].mean((1, 3))
    assert np.corrcoef(between.ravel(), expected["depth"][centre].ravel())[0, 1] > 0.9
    assert np.allclose(np.linalg.norm(found["normals"], axis=-1), 1, atol=1e-5)


def test_three_lines_of_python(tiny_bundle):
    predictor = edgekit.load(tiny_bundle)
    classes = predictor.infer(np.zeros((30, 50, 3), np.uint8))["semantic"]
    assert classes.shape == (30, 50)
    assert predictor.describe()["precision"] == "int8"


def test_what_is_no_frame_is_refused(tiny_bundle):
    with edgekit.load(tiny_bundle) as predictor:
        for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), "frame", None):
            with pytest.raises(EdgekitError, match="uint8"):
                predictor.infer(wrong)
