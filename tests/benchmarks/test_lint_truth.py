"""The lint benchmark's question about inputs that have to be constants, put to NVIDIA's builder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.compile.compiler import is_there

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HEAD = '<ir_version: 8, opset_import: ["": 17]>\ng '
AXIS = HEAD + "(float[2,3] x, int32 a) => (float[2,3] y) { y = CumSum(x, a) }"
DEPTH = HEAD + "(int64[2] i, float[2] o, int64 a) => (float[A,B] y) { y = OneHot(i, a, o) }"
SHAPE = HEAD + "(float[1] x, int64[1] a) => (float[N] y) { y = Expand(x, a) }"
# In a process that ends without the library's destructors, which can wait for ever.
ASK = f"""
import json, os, sys
import onnx.parser
sys.path.insert(0, {str(BENCHMARKS)!r})
import lint_truth
from edgekit.compile import worker
for text in {[AXIS, SHAPE, DEPTH]!r}:
    model = onnx.parser.parse_model(text).SerializeToString()
    job = {{"compute_capabilities": ["8.6"], "profiles": {{"a": [[1], [1], [1 if "OneHot" not in text else 3]]}}}}
    refusals = lint_truth.constant_inputs(job, model)
    print(json.dumps([worker.build(job, model)[1] is not None, len(refusals)]), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not is_there(), reason="TensorRT for RTX is not installed")
def test_an_axis_or_a_depth_has_to_be_a_constant_and_a_shape_has_not():
    """With the profile of one value, as a test case has it, the builder takes an axis and a shape."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[True, 1], [True, 0], [False, 1]], done.stderr[
        -2000:
    ]
