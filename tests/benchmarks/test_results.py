"""RESULTS.md keeps what others wrote."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def results():
    spec = importlib.util.spec_from_file_location("benchmark_results", BENCHMARKS / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sections_are_added_and_replaced(results, tmp_path):
    file = tmp_path / "RESULTS.md"
    results.write_section("one", "first", file)
    results.write_section("two", "second", file)
    results.write_section("three", "third\n", file)
    before = file.read_text()
    assert before.startswith("# Results\n") and before.count("## ") == 3
    results.write_section("two", "other\n\n- words", file)
    assert file.read_text() == before.replace("second", "other\n\n- words")
    results.write_section("two", "second", file)
    assert file.read_text() == before


def test_a_heading_in_a_code_block_is_no_section(results, tmp_path):
    file = tmp_path / "RESULTS.md"
    block = "```\n## two\nnot a section\n```"
    results.write_section("one", block, file)
    results.write_section("two", "second", file)
    results.write_section("two", "again", file)
    text = file.read_text()
    assert block in text and "second" not in text and text.endswith("## two\n\nagain\n")


def test_a_title_that_begins_like_another_is_another(results, tmp_path):
    file = tmp_path / "RESULTS.md"
    results.write_section("latency on a CPU", "long", file)
    results.write_section("latency", "short", file)
    assert "long" in file.read_text() and "short" in file.read_text()


def test_a_table(results):
    shown = results.table(["name", "ms"], [["a", "1.5"], ["b", 2]])
    assert shown == "| name | ms |\n|---|--:|\n| a | 1.5 |\n| b | 2 |"


def test_the_command_does_not_tell_where_things_lie(results):
    argv = ["/home/me/edgekit/benchmarks/x.py", "--peer", "openvino=/opt/env/bin/python", "--size", "64x96", "runs/uav"]
    command = results.command_line(argv)
    assert command == "python benchmarks/x.py --peer openvino=python --size 64x96 runs/uav"


def test_provenance_names_machine_and_versions(results):
    import numpy as np

    text = results.provenance(["pillow", "no-such-package"])
    assert f"numpy {np.__version__}" in text and "pillow" in text and "no-such-package" not in text
