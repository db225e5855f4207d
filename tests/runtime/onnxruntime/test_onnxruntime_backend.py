"""The onnxruntime backend: what a damaged or foreign network becomes, and what it refuses to pretend."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgekit.bundle.bundle import Bundle, open_bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Options
from edgekit.runtime.load import open_backend, runnable_precisions
from edgekit.runtime.onnxruntime.backend import usable_cores


@pytest.fixture
def folder(tiny_bundle, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


def test_an_operator_that_onnxruntime_does_not_have(folder, tiny):
    model = onnx.load(folder / "fp32.onnx")
    model.graph.node[-1].op_type = "Gelu"  # of later operator sets
    (folder / "fp32.onnx").write_bytes(model.SerializeToString())
    tiny.rehash(folder)
    with pytest.raises(EdgekitError, match=r"cannot load the network: .*Gelu") as error:
        open_backend(open_bundle(folder), "onnxruntime", precision="fp32")
    assert "fp32.onnx" in error.value.where


def test_an_input_of_another_shape(tiny_bundle):
    with open_backend(open_bundle(tiny_bundle), "onnxruntime") as backend:
        for feed in (np.zeros((1, 3, 3, 3), np.uint8), np.zeros((1, 64, 96, 3), np.float32)):
            with pytest.raises(EdgekitError, match="cannot run the network on an input"):
                backend.run(feed, ["depth_depth"])


def test_wanted_outputs_alone_are_given_in_any_order(tiny_bundle):
    feed = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    with open_backend(open_bundle(tiny_bundle), "onnxruntime") as backend:
        one = backend.run(feed, ["normals_normals"])
        two = backend.run(feed, ["depth_depth", "normals_normals"])
    assert list(one) == ["normals_normals"] and list(two) == ["depth_depth", "normals_normals"]
    assert (one["normals_normals"] == two["normals_normals"]).all()
    assert one["normals_normals"].shape == (1, 3, 16, 24)


def test_closed_is_closed(tiny_bundle):
    backend = open_backend(open_bundle(tiny_bundle), "onnxruntime", options=Options(threads=1))
    backend.close()
    backend.close()
    with pytest.raises(ValueError, match="closed"):
        backend.run(np.zeros((1, 64, 96, 3), np.uint8), ["depth_depth"])


def test_what_tensorrts_builder_would_do_is_not_pretended(tiny_bundle):
    """The cache lane's int8 is an fp32 file and a calibration cache: running the file would measure fp32."""
    opened = open_bundle(tiny_bundle)
    body = opened.artifact("cache", "fp32")
    more = tuple(replace(body, precision=p) for p in ("int8", "fp16"))
    manifest = replace(opened.manifest, artifacts=(*opened.manifest.artifacts, *more))
    bundle = Bundle(manifest, opened.folder, opened.source)
    for precision in ("int8", "fp16"):
        with pytest.raises(EdgekitError, match=f"TensorRT makes {precision} itself"):
            open_backend(bundle, "onnxruntime", lane="cache", precision=precision)
    assert runnable_precisions(bundle, lane="cache") == ["fp32"]
    assert runnable_precisions(bundle) == ["fp32", "int8"]
    with pytest.raises(EdgekitError, match="nothing in the lane 'weak'"):
        runnable_precisions(bundle, lane="weak")


def test_by_default_all_cores_of_the_process_are_used(tiny_bundle):
    with open_backend(open_bundle(tiny_bundle), "onnxruntime") as backend:
        assert backend.describe()["threads"] == usable_cores() >= 1
