"""The device half under every Python from 3.10 to 3.13 on this machine."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

if sys.version_info < (3, 11):
    pytest.skip("the tool needs Python 3.11 (tomllib)", allow_module_level=True)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("device_pythons", ROOT / "tools" / "device_pythons.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_device_rooms(tool):
    assert set(tool.device_rooms()) >= {"tasks", "frames", "bundle", "boards", "runtime", "engine", "bench"}
    assert not {"cli", "students", "export"} & set(tool.device_rooms())


def test_which_tests_are_run(tool):
    tests = set(tool.device_tests())
    assert {
        "tests/boards/test_parsers.py",
        "tests/engine/doctor/test_diagnosis.py",
        "tests/tasks/test_kinds.py",
        "tests/test_device_half.py",
        "tests/cli/test_main.py",
    } <= tests
    assert not [name for name in tests if name.startswith(("tests/students", "tests/preflight", "tests/export"))]
    assert "tests/cli/test_students_command.py" not in tests


def test_imports_are_seen_wherever_they_stand(tool, tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    import torch.nn\n    from edgekit.students import registry\n")
    assert tool._workstation_imports(tmp_path / "a.py") == {"torch.nn", "edgekit.students"}
    (tmp_path / "b.py").write_text("import numpy\nfrom edgekit.boards.table import table\nfrom edgekit import errors\n")
    assert tool._workstation_imports(tmp_path / "b.py") == set()


def test_this_python_is_found(tool):
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert version not in tool.PYTHONS or version in tool.pythons()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_the_device_half_under(tool, version, tmp_path):
    python = tool.pythons().get(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    try:
        code = tool.run(python, tmp_path / "environment")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no environment for Python {version}, perhaps no network: {error}")
    assert code == 0
