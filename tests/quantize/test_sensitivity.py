"""Noise against its definition by hand; which layers are loudest against brute force; the picture of it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from edgekit.errors import EdgekitError
from edgekit.frames.images import read_rgb
from edgekit.quantize.plot import sensitivity_plot
from edgekit.quantize.sensitivity import LayerSensitivity, Reference, loudest, share_text


def times(factors: list[float]) -> onnx.ModelProto:
    """Channel c of the input, multiplied by ``factors[c]``."""
    shape = ["batch", len(factors), "h", "w"]
    weight = numpy_helper.from_array(np.float32(factors).reshape(-1, 1, 1), "by")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["input", "by"], ["out"])],
        "times",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, shape)],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_noise_is_squared_error_over_variance():
    rng = np.random.default_rng(0)
    frames = [rng.standard_normal((1, 2, 5, 7)).astype(np.float32) + 100 for _ in range(3)]
    found = Reference(times([1.0, 1.0]), frames).noise(times([1.0, 1.001]))
    # 100 for all pixels is no signal: the variance is around each channel's mean.
    variance = np.mean([f[0, c].astype(np.float64).var() for f in frames for c in range(2)])
    error = np.mean([(0.001 * f[:, 1].astype(np.float64)) ** 2 for f in frames]) / 2
    assert found["out"] == pytest.approx(error / variance, rel=1e-2)
    assert Reference(times([2.0, 3.0]), frames).noise(times([2.0, 3.0])) == {"out": 0.0}


def layers_of(noises: list[float]) -> list[LayerSensitivity]:
    return [LayerSensitivity(f"layer{i}", "Conv", 9, {"out": float(noise)}) for i, noise in enumerate(noises)]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=7))
def test_the_loudest_are_the_fewest_that_make_half(noises):
    def makes_half(chosen) -> bool:
        return 2 * sum(noises[i] for i in chosen) >= sum(noises)

    found = [int(name.removeprefix("layer")) for name in loudest(layers_of(noises), "out")]
    fewest = next(n for n in range(len(noises) + 1) if any(map(makes_half, combinations(range(len(noises)), n))))
    assert makes_half(found) and len(found) == len(set(found)) == fewest


def test_a_small_share_is_not_said_to_be_none():
    assert [share_text(share) for share in (0.0, 1e-6, 0.0049, 0.006, 0.24, 1.0)] == [
        "0%",
        "<1%",
        "<1%",
        "1%",
        "24%",
        "100%",
    ]


RED = np.array([0xC2, 0x41, 0x0C])


def red_rows(path: Path) -> int:
    """How many separate stripes of rows have a long red line in them."""
    red = (np.abs(read_rgb(path).astype(int) - RED).max(axis=2) < 8).sum(axis=1) > 60
    return int(red[0]) + int((red[1:] & ~red[:-1]).sum())


@pytest.mark.parametrize(("noises", "red"), [([1e-4, 1e-2, 1e-4], 1), ([1e-2, 1e-4, 1e-2, 1e-2], 2), ([0.0, 0.0], 0)])
def test_the_picture_marks_the_loudest(tmp_path, noises, red):
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    path = tmp_path / "deep" / "noise.png"
    sensitivity_plot(path, "a title", layers_of(noises), {"out": sum(noises)})
    assert red_rows(path) == red
    assert [p.name for p in path.parent.iterdir()] == ["noise.png"]
    assert dict(matplotlib.rcParams) == before and matplotlib.get_backend() == backend


def test_a_panel_for_every_output_and_a_row_for_every_layer(tmp_path):
    one = layers_of([1e-3] * 4)
    two = [LayerSensitivity(o.layer, "Conv", 9, {"a": 1e-3, "b": 0.0}) for o in one * 3]
    sensitivity_plot(tmp_path / "one.png", "t", one, {"out": 4e-3})
    sensitivity_plot(tmp_path / "two.png", "t", two, {"a": 1e-2, "b": 0.0})
    (h1, w1), (h2, w2) = (read_rgb(tmp_path / f"{name}.png").shape[:2] for name in ("one", "two"))
    assert h2 > h1 and w2 > 1.5 * w1


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EdgekitError, match="cannot write"):
        sensitivity_plot(tmp_path / "file" / "noise.png", "t", layers_of([1e-3]), {"out": 1e-3})
