"""The onnxruntime backend: which of TensorRT's files it runs, and what it refuses to pretend."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit.bundle.bundle import Bundle, open_bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.load import open_backend, runnable_precisions


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
