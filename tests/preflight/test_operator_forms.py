"""Forms of operators that the parser refuses: lint from both sides, and NVIDIA's parser on the same graphs."""

from __future__ import annotations

import json
import subprocess
import sys

import onnx
import pytest

from edgekit.compile.compiler import is_there
from edgekit.preflight.lint import RULES, lint

X = "(float[2,3,4] x) => (float[A,B,C] y)"
FOUR = "(float[1,2,4,4] x) => (float[A,B,C,D] y)"
ATTENTION = "(float[1,2,4,8] q, float[1,2,6,8] k, float[1,2,6,{v}] v, float[1,2,4,{m}] m) => (float[A,B,C,D] y)"
ALIKE = ATTENTION.format(v=8, m=6)
NORM = "(float[1,2,4,4] x, float[2] s, float[2] b, float[2] m, float[2] v) => (float[A,B,C,D] y)"
HOT = "(int64[2] i, float[2] o) => (float[A,B] y)"
AXES = "c = Constant<value_ints = [1]>() "

# name: (graph, opset, whether TensorRT takes it)
WAVE = "(float[1,16,1] x) => (float[A,B,C,D] y)"
WINDOW = "w = Constant<value_floats = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]>()"
CASES = {
    "broadcasting before opset 7": ("(float[2,3] x, float[2,3] z) => (float[2,3] y) { y = Add(x, z) }", 6, False),
    "no broadcasting": ("(float[2,3] x) => (float[2,3] y) { y = Relu(x) }", 6, True),
    "opset 7": ("(float[2,3] x, float[3] z) => (float[2,3] y) { y = Add(x, z) }", 7, True),
    "axes that are computed": (f"{X} {{ {AXES} n = Neg(c) a = Neg(n) y = ReduceSum(x, a) }}", 18, False),
    "axes that are cast": (f"{X} {{ {AXES} a = Cast<to = 7>(c) y = ReduceSum(x, a) }}", 18, True),
    "axes of another operator": (
        f"{X.replace('C]', 'C,D]')} {{ {AXES} n = Neg(c) a = Neg(n) y = Unsqueeze(x, a) }}",
        18,
        True,
    ),
    "the first output": ("(float[2,4] x, float[4] s) => (float[A,B] y) { y = LayerNormalization(x, s) }", 17, True),
    "more outputs": (
        "(float[2,4] x, float[4] s) => (float[A,B] y, float[A,B] m) { y, m = LayerNormalization(x, s) }",
        17,
        False,
    ),
    "dropout": (f"{X} {{ y = Dropout(x) }}", 17, True),
    "dropout in training": (
        f"{X} {{ r = Constant<value_float = 0.5>() t = Constant<value = bool {{1}}>() y = Dropout(x, r, t) }}",
        17,
        False,
    ),
    "attention": (f"{ALIKE} {{ y = Attention(q, k, v, m) }}", 23, True),
    "attention, capped": (f"{ALIKE} {{ y = Attention<softcap = 2.0>(q, k, v, m) }}", 23, False),
    "attention, its softmax": (f"{ALIKE} {{ y = Attention<softmax_precision = 1>(q, k, v, m) }}", 23, False),
    "attention, causal": (f"{ALIKE} {{ y = Attention<is_causal = 1>(q, k, v) }}", 23, True),
    "attention, causal and masked": (f"{ALIKE} {{ y = Attention<is_causal = 1>(q, k, v, m) }}", 23, False),
    "attention, other values": (f"{ATTENTION.format(v=10, m=6)} {{ y = Attention(q, k, v, m) }}", 23, False),
    "attention, a short mask": (f"{ATTENTION.format(v=8, m=4)} {{ y = Attention(q, k, v, m) }}", 24, False),
    "random floats": ("(float[2] x) => (float[2] y) { r = RandomUniformLike(x) y = Add(r, x) }", 17, True),
    "random doubles": (
        "(float[2] x) => (float[2] y) { r = RandomUniformLike<dtype = 11>(x) f = Cast<to = 1>(r) y = Add(f, x) }",
        17,
        False,
    ),
    "a clip of integers": ("(int8[2] x, int8 z) => (int8[2] y) { y = Clip(x, z) }", 17, False),
    "a clip of floats": ("(float[2] x) => (float[2] y) { z = Constant<value_float = 0.0>() y = Clip(x, z) }", 17, True),
    "a norm of 2": (f"{FOUR} {{ y = LpPool<kernel_shape = [2, 2], p = 2>(x) }}", 17, True),
    "a norm of 3": (f"{FOUR} {{ y = LpPool<kernel_shape = [2, 2], p = 3>(x) }}", 17, False),
    "a vector by matrices": ("(float[4] x, float[2,4,3] z) => (float[A,B] y) { y = MatMul(x, z) }", 17, False),
    "a vector by a matrix": ("(float[4] x, float[4,3] z) => (float[A] y) { y = MatMul(x, z) }", 17, True),
    "matrices by a vector": ("(float[2,3,4] x, float[4] z) => (float[A,B] y) { y = MatMul(x, z) }", 17, True),
    "scales as an input": (
        f"{FOUR.replace('x)', 'x, float[4] s)')} {{ y = Resize<mode = \"nearest\">(x, , s) }}",
        17,
        False,
    ),
    "scales of all axes": (
        f"{FOUR} {{ s = Constant<value_floats = [1.0, 1.0, 2.0, 2.0]>() y = Resize(x, , s) }}",
        18,
        True,
    ),
    "scales of two axes": (
        f"{FOUR} {{ s = Constant<value_floats = [2.0, 2.0]>() y = Resize<axes = [2, 3]>(x, , s) }}",
        18,
        True,
    ),
    "the aspect ratio": (
        f"{FOUR} {{ s = Constant<value_ints = [1, 2, 7, 8]>() "
        'y = Resize<keep_aspect_ratio_policy = "not_larger">(x, , , s) }',
        18,
        False,
    ),
    "parts of one size": ("(float[6] x) => (float[A] y, float[B] z) { y, z = Split<num_outputs = 2>(x) }", 18, True),
    "a last part of nothing": (
        "(float[5] x) => (float[A] y, float[B] z, float[C] u, float[D] w) { y, z, u, w = Split<num_outputs = 4>(x) }",
        18,
        False,
    ),
    "scattering": (
        "(float[4,4] x, int64[1,1] i, float[1,4] u) => (float[4,4] y) { y = ScatterND(x, i, u) }",
        18,
        True,
    ),
    "scattering that adds": (
        '(float[4,4] x, int64[1,1] i, float[1,4] u) => (float[4,4] y) { y = ScatterND<reduction = "add">(x, i, u) }',
        18,
        False,
    ),
    "a linear cache": (
        "(float[1,2,4,8] x, float[1,2,1,8] u, int64[1] w) => (float[A,B,C,D] y) { y = TensorScatter(x, u, w) }",
        24,
        True,
    ),
    "a circular cache": (
        "(float[1,2,4,8] x, float[1,2,1,8] u, int64[1] w) => (float[A,B,C,D] y)"
        ' { y = TensorScatter<mode = "circular">(x, u, w) }',
        24,
        False,
    ),
    "a cache of 3 dimensions": (
        "(float[1,4,8] x, float[1,1,8] u, int64[1] w) => (float[A,B,C] y) { y = TensorScatter(x, u, w) }",
        24,
        False,
    ),
    "a normalised map": (f"{FOUR} {{ y = LpNormalization<p = 2>(x) }}", 17, True),
    "batch norm": (f"{NORM} {{ y = BatchNormalization(x, s, b, m, v) }}", 17, True),
    "batch norm in training": (
        f"{NORM} {{ y, n, w = BatchNormalization<training_mode = 1>(x, s, b, m, v) }}",
        17,
        False,
    ),
    "attention with a past": (
        f"{ALIKE.replace(') =>', ', float[1,2,3,8] pk, float[1,2,3,8] pv) =>').replace('4,6] m', '4,9] m')}"
        " { y, nk, nv = Attention(q, k, v, m, pk, pv) }",
        23,
        False,
    ),
    "random normals": ("(float[2] x) => (float[2] y) { r = RandomNormalLike(x) y = Add(r, x) }", 17, True),
    "normals of a shape": ("(float[2] x) => (float[2] y) { r = RandomNormal<shape = [2]>() y = Add(r, x) }", 17, True),
    "uniform of a shape": ("(float[2] x) => (float[2] y) { r = RandomUniform<shape = [2]>() y = Add(r, x) }", 17, True),
    "double normals": (
        "(float[2] x) => (float[2] y) { r = RandomNormalLike<dtype = 11>(x) f = Cast<to = 1>(r) y = Add(f, x) }",
        17,
        False,
    ),
    "double normals of a shape": (
        "(float[2] x) => (float[2] y) "
        "{ r = RandomNormal<shape = [2], dtype = 11>() f = Cast<to = 1>(r) y = Add(f, x) }",
        17,
        False,
    ),
    "double uniform of a shape": (
        "(float[2] x) => (float[2] y) "
        "{ r = RandomUniform<shape = [2], dtype = 11>() f = Cast<to = 1>(r) y = Add(f, x) }",
        17,
        False,
    ),
    "a sum along an axis": (f"{X} {{ a = Constant<value_int = 1>() y = CumSum(x, a) }}", 17, True),
    "one of three": (f"{HOT} {{ d = Constant<value_int = 3>() y = OneHot(i, d, o) }}", 17, True),
    "an axis less": (
        "(float[2,1,4] x) => (float[A,B] y) { a = Constant<value_ints = [1]>() y = Squeeze(x, a) }",
        17,
        True,
    ),
    "a spectrogram": (f"{WAVE} {{ s = Constant<value_int = 4>() {WINDOW} y = STFT(x, s, w) }}", 17, True),
    "a spectrogram of some step": (
        f"{WAVE.replace('x)', 'x, int64 s)')} {{ {WINDOW} y = STFT(x, s, w) }}",
        17,
        False,
    ),
    "a spectrogram with a computed window": (
        f"{WAVE} {{ s = Constant<value_int = 4>() {WINDOW} n = Neg(w) y = STFT(x, s, n) }}",
        17,
        False,
    ),
    "an axis more": (
        "(float[2,4] x) => (float[A,B,C] y) { a = Constant<value_ints = [1]>() y = Unsqueeze(x, a) }",
        17,
        True,
    ),
    "some axis more": ("(float[2,4] x, int64[1] a) => (float[A,B,C] y) { y = Unsqueeze(x, a) }", 17, False),
    "some axis less": ("(float[2,1,4] x, int64[1] a) => (float[A,B] y) { y = Squeeze(x, a) }", 17, False),
    **{
        f"{op} before opset 7": (f"(float[2,3] x, float[2,3] z) => ({kind}[2,3] y) {{ y = {op}(x, z) }}", 6, False)
        for op, kind in (("Mul", "float"), ("Pow", "float"), ("Greater", "bool"))
    },
    "PRelu before opset 7": ("(float[2,3] x, float[2,3] z) => (float[2,3] y) { y = PRelu(x, z) }", 6, True),
    "PRelu of channels before opset 7": (
        "(float[2,3,4] x, float[3] z) => (float[2,3,4] y) { y = PRelu(x, z) }",
        6,
        False,
    ),
}  # fmt: skip
BUILDER = {
    "a sum along some axis": (f"{X.replace('x)', 'x, int32 a)')} {{ y = CumSum(x, a) }}", 17, False),
    "one of some": (f"{HOT.replace('o)', 'o, int64 d)')} {{ y = OneHot(i, d, o) }}", 17, False),
}
"""What NVIDIA's parser takes and its builder wants to know: see tests/benchmarks/test_lint_truth.py."""

_PARSE = """
import json, os, sys
from pathlib import Path
from edgekit.compile.worker import build
for path in map(Path, sys.argv[1:]):
    job = {"compute_capabilities": ["8.6"], "profiles": {}, "parse_only": True}
    print(json.dumps([path.stem, not build(job, path.read_bytes())[0]["refusals"]]), flush=True)
os._exit(0)  # not through the library's destructors, which can wait for ever
"""


@pytest.mark.parametrize("name", [*CASES, *BUILDER])
def test_lint_knows_the_form(name, network, target):
    text, opset, fine = (CASES | BUILDER)[name]
    report = lint(network(text, opset), target("7.2"), name)
    assert report.builds == fine, report.findings


@pytest.mark.skipif(not is_there(), reason="TensorRT for RTX is not installed")
def test_nvidias_parser_says_the_same(model, tmp_path):
    for name, (text, opset, _) in CASES.items():
        onnx.save(model(text, opset), tmp_path / f"{name}.onnx")
    command = [sys.executable, "-c", _PARSE, *map(str, sorted(tmp_path.iterdir()))]
    child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True)
    said = dict(json.loads(line) for line in child.stdout.splitlines() if line.startswith("["))
    assert said == {name: fine for name, (_, _, fine) in CASES.items()}


def test_reductions_of_scattered_elements_came_with_tensorrt_10(network, target):
    text = (
        '(float[4,4] x, int64[1,4] i, float[1,4] u) => (float[4,4] y) { y = ScatterElements<reduction="add">(x, i, u) }'
    )
    net = network(text, 17)
    found = {
        version: [f for rule in RULES if (f := rule(net, net.nodes[0], target(version)))] for version in ("6.0", "6.2")
    }
    assert [f.rule for f in found["6.0"]] == ["form"] and found["6.2"] == []


def test_inputs_that_are_no_tensors(network, target):
    net = network("(optional(float[2]) x) => (optional(float[2]) y) { y = Identity(x) }", 17)
    assert not lint(net, target("7.2"), "s").builds
