"""How tools/arm64.py goes on after it was killed, and what it counts; nothing is emulated here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the tool needs Python 3.11 (tomllib)", allow_module_level=True)

ROOT = Path(__file__).parents[2]
TESTS = ["tests/a/b/test_x.py", "tests/a/test_y.py", "tests/a/test_z.py", "tests/test_w.py"]


@pytest.fixture
def tool(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    spec = importlib.util.spec_from_file_location("arm64", ROOT / "tools" / "arm64.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_killed_run_goes_on_and_the_sum_is_of_all(tool, tmp_path, monkeypatch, capsys):
    asked = []

    def says(*lines: str):
        lines = iter(lines)

        def emulated(folder, *arguments, said):
            asked.append([word for word in arguments if word.startswith("tests/")])
            said.write(f"{asked[-1][0]}::test_1 PASSED [ 50%]\n{next(lines)}\n")

        monkeypatch.setattr(tool, "emulated", emulated)

    says(
        "==== 3 passed, 1 skipped in 9.00s ====",
        "tests/a/test_z.py::test_2 ",
        "===== 1 passed in 70.00s (0:01:10) =====",
    )
    assert tool.run_tests(tmp_path, TESTS) == 1
    assert "tests/a: no end" in capsys.readouterr().out
    assert asked == [TESTS[:1], TESTS[1:3], TESTS[3:]]

    says("=== 1 failed, 20 passed, 2 skipped, 1 error in 5.00s ===")
    assert tool.run_tests(tmp_path, TESTS) == 1, "one failed"
    assert asked[3:] == [TESTS[1:3]], "only what came to no end"
    assert capsys.readouterr().out.splitlines()[-4:] == ["passed 24", "skipped 3", "failed 1", "error 1"]


def test_all_passed(tool, tmp_path, monkeypatch):
    def emulated(folder, *arguments, said):
        said.write("===== 5 passed in 1.00s =====\n")

    monkeypatch.setattr(tool, "emulated", emulated)
    assert tool.run_tests(tmp_path, TESTS) == 0
