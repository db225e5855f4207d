"""The lint benchmark: what it asks NVIDIA's compiler, what it keeps of the answers, and how it counts them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
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


def test_the_profile_of_a_case_is_its_shapes_and_its_short_lists_of_integers(benchmark_module):
    text = HEAD + "(float[N,3] x, float[2,3] fixed, int64[2] shape, int64[65] long, int64[1] w) => (float[A] y) "
    model = onnx.parser.parse_model(text + "<int64[1] w = {4}> { y = Identity(x) }")
    inputs = [np.zeros((2, 3), "f"), np.zeros((2, 3), "f"), np.array([5, 6]), np.arange(65), np.array([4])]
    found = benchmark_module("lint_truth").profile(model, inputs)
    assert found == {"x": [[2, 3]] * 3, "shape": [[5, 6]] * 3}  # w is a constant, and long is no shape
    assert benchmark_module("lint_truth").profile(model, [None, None, np.array([True])]) == {"shape": [[1]] * 3}


@pytest.mark.parametrize(
    ("by", "said", "wants"),
    [
        ("parser", ("n (RoiAlign): no plugin",), True),
        ("parser", ("n (Relu): no", "n (ScatterElements): Unsupported reduction type"), True),
        ("parser", ("n (Unique): no importer",), False),
        ("builder", ("n (RoiAlign): no plugin",), False),
    ],
)
def test_what_lacks_a_plugin_is_told_by_the_parsers_words(benchmark_module, by, said, wants):
    assert benchmark_module("lint_truth").Truth("m", by, said).wants_plugin is wants


def test_the_table_counts_verdicts_of_both(benchmark_module):
    module = benchmark_module("lint_truth")
    fine, wrong, newer = (
        SimpleNamespace(findings=[SimpleNamespace(rule=rule, level=level) for rule, level in found])
        for found in ([("form", "warning")], [("form", "error"), ("opset", "error")], [("opset", "error")])
    )
    rows = [(module.Truth("a", ""), fine), (module.Truth("b", ""), fine), (module.Truth("c", "parser"), fine)]
    rows += [(module.Truth("d", "parser", ("(NonZero): x",)), fine), (module.Truth("e", "crash"), wrong)]
    rows += [(module.Truth("f", ""), newer), (module.Truth("g", ""), None)]
    lines = module.table(rows).splitlines()
    assert "7 models" in lines[0] and "parsed, not built yet" not in lines[0]
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == ["would build", "2", "1", "1", "0"]
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]] == ["would not", "1", "0", "0", "1"]
    assert [cell.strip() for cell in lines[4].split("|")[1:-1]] == ["newer opset", "1", "0", "0", "0"]


def test_a_model_that_ends_the_process_is_written_down_and_the_next_goes_on_behind_it(
    benchmark_module, tmp_path, monkeypatch
):
    module, asked = benchmark_module("lint_truth"), []

    class Process:
        """Runs in this process; SystemExit stands for its death."""

        def __init__(self, target, args):
            self.exitcode, self._run = 0, lambda: target(*args)

        def start(self):
            try:
                self._run()
            except SystemExit as death:
                self.exitcode = death.code

        def join(self):
            pass

    def ask(models, kept, parse_only):
        for name in models:
            asked.append((name, parse_only))
            if name == "bad" or (name == "worse" and not parse_only):
                raise SystemExit(-11)
            module._keep(kept, module.Truth(name, module.PARSED if parse_only else ""))

    monkeypatch.setattr(module.multiprocessing, "get_context", lambda kind: SimpleNamespace(Process=Process))
    monkeypatch.setattr(module, "_ask", ask)
    models = {name: Path(name) for name in ("a", "bad", "c", "worse")}
    found = module.truths(models, tmp_path / "truth.jsonl")
    assert {name: truth.by for name, truth in found.items()} == {"a": "", "bad": "crash", "c": "", "worse": "crash"}
    assert "-11" in found["bad"].said[0]
    before = list(asked)
    assert module.truths(models, tmp_path / "truth.jsonl") == found and asked == before  # nothing is asked twice
