"""Every backend that runs ONNX files on the CPU: what a damaged or foreign network becomes, what it refuses."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import edgekit
from edgekit.bundle.bundle import open_bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Options
from edgekit.runtime.cpu import usable_cores
from edgekit.runtime.load import open_backend
from edgekit.runtime.onnxruntime.backend import OnnxRuntime


@pytest.fixture(params=["onnxruntime", "openvino"])
def backend_name(request) -> str:
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def folder(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def test_an_operator_that_the_runtime_does_not_have(folder, tiny, backend_name):
    model = onnx.load(folder / "fp32.onnx")
    model.graph.node[-1].op_type = "Gelu"  # of later operator sets
    (folder / "fp32.onnx").write_bytes(model.SerializeToString())
    tiny.rehash(folder)
    with pytest.raises(EdgekitError, match=rf"{backend_name} [\d.]+ cannot load the network: .*Gelu") as error:
        open_backend(open_bundle(folder), backend_name, precision="fp32")
    assert "fp32.onnx" in error.value.where


def test_an_input_of_another_shape_or_type(tiny_bundle, backend_name):
    with open_backend(open_bundle(tiny_bundle), backend_name) as backend:
        for feed in (np.zeros((1, 3, 3, 3), np.uint8), np.zeros((1, 64, 96, 3), np.float32)):
            with pytest.raises(EdgekitError, match="cannot run the network on an input"):
                backend.run(feed, ["depth_depth"])


def test_wanted_outputs_alone_are_given_in_any_order(tiny_bundle, backend_name):
    feed = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    with open_backend(open_bundle(tiny_bundle), backend_name) as backend:
        one = {name: array.copy() for name, array in backend.run(feed, ["normals_normals"]).items()}
        two = backend.run(feed, ["depth_depth", "normals_normals"])
        assert list(one) == ["normals_normals"] and list(two) == ["depth_depth", "normals_normals"]
        assert (one["normals_normals"] == two["normals_normals"]).all()
        assert one["normals_normals"].shape == (1, 3, 16, 24) and two["depth_depth"].shape == (1, 16, 24)


def test_frames_that_cannot_be_written_to(tiny_bundle, backend_name):
    """As Pillow hands them out, and ``np.frombuffer``."""
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    fixed = np.frombuffer(frame.tobytes(), np.uint8).reshape(frame.shape)
    with edgekit.load(tiny_bundle, backend=backend_name) as predictor:
        found, expected = predictor.infer(fixed), predictor.infer(frame)
        assert all((found[name] == expected[name]).all() for name in expected)


def test_closed_is_closed(tiny_bundle, backend_name):
    backend = open_backend(open_bundle(tiny_bundle), backend_name, options=Options(threads=1))
    backend.close()
    backend.close()
    with pytest.raises(ValueError, match="closed"):
        backend.run(np.zeros((1, 64, 96, 3), np.uint8), ["depth_depth"])


def test_by_default_all_cores_of_the_process_are_used(tiny_bundle, backend_name):
    with open_backend(open_bundle(tiny_bundle), backend_name) as backend:
        assert backend.describe()["threads"] == usable_cores() >= 1


@pytest.mark.parametrize(("name", "extra"), [("onnxruntime", "cpu"), ("openvino", "openvino")])
def test_a_runtime_that_is_not_installed(tiny_bundle, monkeypatch, name, extra):
    """The one that was asked for is named, with its extra; no other runs instead."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EdgekitError, match=f"needs the package '{name}', which is not installed") as error:
        edgekit.load(tiny_bundle, backend=name)
    assert error.value.fix == f"pip install 'edgekit[{extra}]'"


def test_a_backend_made_of_onnxruntimes_says_what_runs(tiny_bundle):
    class Loud(OnnxRuntime):
        name = "loud"

    bundle = open_bundle(tiny_bundle)
    with Loud(bundle, Loud.choose(bundle, None, None, Options()), Options()) as backend:
        said = backend.describe()
    assert said["backend"] == "loud" and said["runtime"].startswith("onnxruntime ")
