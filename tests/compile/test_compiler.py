"""The compiler itself, on small networks: what it takes, what it refuses, and where it crashes."""

from __future__ import annotations

import os
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgekit.compile import compiler
from edgekit.compile.compiler import check_installed, compile_model, is_there
from edgekit.errors import EdgekitError

needs_rtx = pytest.mark.skipif(not is_there(), reason="TensorRT for RTX is not installed")


def model(text: str, **constants: np.ndarray) -> bytes:
    made = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]>\ng {text}')
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    for node in made.graph.node:
        node.name = f"{node.output[0]}_node"
    return made.SerializeToString()


WEIGHT = np.full((16, 16, 3, 3), 0.1, np.float32)
NETWORK = "(float[N,16,H,W] x) => (float[N,16,h,w] y) { a = Conv(x, w) y = Relu(a) }"


@needs_rtx
def test_a_network_is_taken_with_open_shapes():
    shapes = ((1, 16, 8, 8), (1, 16, 32, 32), (4, 16, 64, 64))
    found = compile_model(model(NETWORK, w=WEIGHT), "small", profiles={"x": shapes})
    assert found.taken and found.refusals == () and found.engine.not_understood == ()
    (convolution,) = [kernel for kernel in found.engine.kernels if kernel.convolves]
    assert set(convolution.nodes) == {"a_node", "y_node"} and convolution.precision == "FP32"
    assert found.engine.weight_bytes >= WEIGHT.nbytes and found.engine.activation_bytes > 0
    document = found.to_json()
    assert document["engine"]["convolutions"] == 1 and document["engine"]["plan_bytes"] == len(found.engine.plan)


@needs_rtx
def test_without_a_profile_the_builder_refuses():
    found = compile_model(model(NETWORK, w=WEIGHT), "small")
    assert not found.taken and found.refusals[0].by == "builder" and "profile" in found.refusals[0].what


@needs_rtx
def test_a_builder_that_never_ends_is_left(monkeypatch):
    monkeypatch.setattr(compiler, "_SECONDS", 0.05)
    found = compile_model(model(NETWORK, w=WEIGHT), "slow", profiles={"x": ((1, 16, 8, 8),) * 3})
    assert not found.taken and found.refusals[0].by == "time" and "did not end" in found.refusals[0].what


@needs_rtx
def test_the_parser_names_the_node():
    text = "(float[1,4,8,8] x) => (float[A] y) { y = Unique(x) }"
    found = compile_model(model(text), "unknown operator")
    (refusal, *_) = found.refusals
    assert (refusal.node, refusal.operator, refusal.by) == ("y_node", "Unique", "parser")
    assert str(refusal).startswith("'y_node' (Unique): ")


@needs_rtx
@pytest.mark.parametrize("word", ["8.7", "11.0"])
def test_a_jetsons_gpu_is_none_it_builds_for(word):
    text = "(float[1,4,8,8] x) => (float[1,4,8,8] y) { y = Relu(x) }"
    with pytest.raises(EdgekitError, match=f"does not build for all of 8.6, {word}") as caught:
        compile_model(model(text), "small", capabilities=("8.6", word))
    assert "8.9" in caught.value.fix


@pytest.mark.parametrize("words", [(), ("",), ("sm86",), ("8.6;8.9",)])
def test_what_is_no_compute_capability(words, monkeypatch):
    monkeypatch.setattr(compiler, "is_there", lambda: True)
    with pytest.raises(EdgekitError, match="no compute capability"):
        compile_model(b"", "small", capabilities=words)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(compiler, "is_there", lambda: False)
    with pytest.raises(EdgekitError, match="not installed") as caught:
        check_installed()
    assert "edgekit[rtx]" in caught.value.fix


def test_a_crash_of_the_builder_is_a_refusal(monkeypatch):
    """As a GRU in reverse was seen to do; here a child that ends by the same signal."""
    monkeypatch.setattr(compiler, "is_there", lambda: True)
    crash = ["-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"]
    run = compiler.subprocess.run
    monkeypatch.setattr(compiler.subprocess, "run", lambda command, **more: run([command[0], *crash], **more))
    found = compile_model(b"", "gru")
    assert not found.taken and found.refusals[0].by == "crash" and "SIGSEGV" in found.refusals[0].what


def test_a_compiler_that_cannot_be_imported_is_a_refusal_with_its_words(tmp_path, monkeypatch):
    """Installed, and broken: an export that is done but for this goes on, and says so."""
    for name in compiler.RTX_MODULES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('libtensorrt_rtx.so.1: no such file')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    found = compiler.compile_model(b"", "net.onnx")
    assert not found.taken and "its process failed" in found.refusals[0].what
    assert "libtensorrt_rtx.so.1" in found.refusals[0].what
