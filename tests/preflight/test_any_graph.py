"""Whatever graph it is, lint reports and estimate answers, or says what is missing: onnx's own test models."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from edgekit.bundle.manifest import PRECISIONS
from edgekit.errors import EdgekitError
from edgekit.preflight.grouping import grouped
from edgekit.preflight.lint import lint
from edgekit.preflight.network import network_of, read_onnx
from edgekit.preflight.roofline import estimate

MODELS = sorted((Path(onnx.__file__).parent / "backend" / "test" / "data").rglob("*.onnx"))


def test_models_of_onnxs_own_tests(target):
    if not MODELS:
        pytest.skip("this onnx comes without its test models")
    reported = 0
    for path in MODELS:
        try:
            network = network_of(read_onnx(path), path.name)
            for asked in (target("5.1", dla=True), target("7.2")):
                report = lint(network, asked, path.name)
                assert sum(len(group.names) for group in grouped(report.nodes)) == len(report.nodes)
                assert {node.number for node in report.nodes} == set(range(len(network.nodes)))
                reported += 1
            for precision in PRECISIONS:
                found = estimate(network, asked.board, precision, path.name)
                assert found.estimate_least_ms <= found.estimate_ms <= found.estimate_most_ms
        except EdgekitError as error:
            assert error.fix and error.where
    assert reported > len(MODELS)
