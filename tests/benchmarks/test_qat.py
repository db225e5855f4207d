"""The benchmark of fine-tuning in integers: networks that are the same in float, and the table's costs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from edgekit.export.body import body
from edgekit.graphs.execute import Runner
from edgekit.students.student import example_student
from edgekit.tasks import Task


@pytest.fixture
def qat(benchmark_module):
    return benchmark_module("qat")


def test_channels_scaled_apart_are_the_same_function(qat):
    torch.manual_seed(0)
    model = body(example_student("repseg", 4).eval(), (48, 64))
    apart = qat.scaled_apart(model)
    x = np.random.default_rng(0).standard_normal((1, 3, 48, 64)).astype(np.float32)
    before, after = Runner(model)(x), Runner(apart)(x)
    for name, exact in before.items():
        np.testing.assert_allclose(after[name], exact, atol=1e-3 * np.abs(exact).max())
    spread = []
    for graph in (model, apart):
        weights = {t.name: onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
        kernels = [w for w in weights.values() if w.ndim == 4 and w.shape[0] > 8]
        spread.append(np.mean([np.ptp(np.log(np.abs(w).max(axis=(1, 2, 3)) + 1e-9)) for w in kernels]))
    assert spread[1] > spread[0] + 2  # by more than seven times
    assert all(qat.scaled_apart(model).SerializeToString() == apart.SerializeToString() for _ in range(2))


def test_what_comes_back_is_a_share_of_what_integers_cost(qat):
    tasks = [Task("semantic", "semantic", classes=("a", "b")), Task("depth", "depth", range=(1.0, 9.0), unit="m")]
    scores = {
        "float": {"semantic": 0.50, "depth": 0.20},
        "integers": {"semantic": 0.40, "depth": 0.2004},
        "equalised": {"semantic": 0.47, "depth": 0.19},
        "fine-tuned": {"semantic": 0.48, "depth": 0.25},
    }
    first, second = qat.rows("small", tasks, {"as trained": scores})
    assert first == ["small", "as trained", "semantic: miou %", "50.00", "+10.00", "+3.00", "+2.00", "80%"]
    assert second[3:] == ["0.2000", "+0.0004", "-0.0100", "+0.0500", "-"]  # it cost nothing to speak of
