"""Looking around: packages that are there, missing, broken or deadly; folders that look like a board's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from edgekit.cli.main import main
from edgekit.engine.doctor.diagnosis import diagnose
from edgekit.engine.doctor.surroundings import (
    Interpreter,
    look_around,
    probe_in_child,
    sees_system,
    this_interpreter,
)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package that a child process will find."""

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    monkeypatch.syspath_prepend(str(tmp_path))
    return write


def test_a_package_that_is_there():
    import yaml

    found = probe_in_child("yaml")
    assert (found["version"], found["file"]) == (yaml.__version__, yaml.__file__)


def test_a_package_that_is_missing():
    assert probe_in_child("no_such_package") == {"error": "No module named 'no_such_package'", "missing": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "raise ImportError('libcudart.so.13: cannot open shared object file')",
            "ImportError: libcudart.so.13: cannot",
        ),
        ("import not_there_either", "No module named 'not_there_either'"),
        ("import os; os.abort()", "importing it ends Python with SIGABRT"),
        ("import os; os._exit(3)", "importing it ends Python with 3"),
    ],
)
def test_a_package_that_breaks_is_not_missing(package, text, said):
    package("broken_one", text)
    found = probe_in_child("broken_one")
    assert said in found["error"] and found["missing"] is False


def test_a_package_that_prints(package):
    package("loud", "print('hello'); __version__ = (1, 2)")
    assert probe_in_child("loud")["version"] == "(1, 2)"


DRIVER = """
#include <string.h>
int cuDriverGetVersion(int *v) { *v = 12060; return 0; }
int cuInit(unsigned flags) { return STATUS; }
int cuDeviceGetCount(int *n) { *n = 2; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, d ? "second" : "Orin", n); return 0; }
int cuDeviceGetAttribute(int *v, int what, int d) { *v = what == 75 ? 8 : 7; return 0; }
int cuDeviceTotalMem_v2(size_t *n, int d) { *n = (size_t)16 << 30; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "no CUDA-capable device is detected"; return 0; }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("status", [0, 100])
def test_a_driver(tmp_path, monkeypatch, status):
    (tmp_path / "driver.c").write_text(DRIVER)
    library = tmp_path / "libcuda.so.1"
    build = ["cc", "-shared", "-fPIC", f"-DSTATUS={status}", "-o", str(library), str(tmp_path / "driver.c")]
    subprocess.run(build, check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    found = probe_in_child("cuda")
    if status:
        assert found["driver"] == "12.6"
        assert found["error"] == "CUDA error 100: no CUDA-capable device is detected"
    else:
        assert found == {
            "driver": "12.6",
            "gpus": [{"name": n, "sm": "8.7", "memory": 16 << 30} for n in ("Orin", "second")],
        }


@pytest.mark.parametrize(
    ("text", "sees"),
    [
        ("home = /usr/bin\ninclude-system-site-packages = true\n", True),
        ("include-system-site-packages=True", True),
        ("include-system-site-packages = false\n", False),
        ("garbage", False),
        (None, False),
    ],
)
def test_whether_an_environment_sees_the_system(tmp_path, text, sees):
    if text is not None:
        (tmp_path / "pyvenv.cfg").write_text(text)
    assert sees_system(tmp_path) is sees


def test_this_interpreter():
    here = this_interpreter()
    assert here.version == ".".join(map(str, sys.version_info[:3])) and here.executable == sys.executable
    assert (here.environment is None) == (sys.prefix == sys.base_prefix)


def test_a_board_by_its_folders(tmp_path):
    for name, text in {
        "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 1\n",
        "usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
        "usr/src/tensorrt/bin/trtexec": "",
        "usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}',
        "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 6000000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    missing = {"error": "No module named 'tensorrt'", "missing": True}
    alone = Interpreter("3.10.12", "python", "/env", False)
    found = look_around(
        tmp_path / "not" / "there", root=tmp_path, run=lambda _: None, probe=lambda _: missing, interpreter=alone
    )
    assert found.machine.jetpack.version == "6.2" and found.toolkit == "12.6" and found.free > 0
    assert found.system_tensorrt == str(tmp_path / "usr/lib/python3.10/dist-packages/tensorrt")
    assert found.trtexec == str(tmp_path / "usr/src/tensorrt/bin/trtexec")
    states = {check.name: (check.state, check.value) for check in diagnose(found).checks}
    assert states["TensorRT"] == ("problem", "hidden")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cuda": 1}', "null"])
def test_a_toolkit_that_does_not_say_its_version(tmp_path, text):
    (tmp_path / "usr/local/cuda").mkdir(parents=True)
    (tmp_path / "usr/local/cuda/version.json").write_text(text)
    found = look_around(tmp_path, root=tmp_path, run=lambda _: None, probe=lambda _: {"error": "", "missing": True})
    assert found.toolkit is None


def test_the_command_on_this_machine(capsys):
    code = main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    problems = [check["name"] for check in document["checks"] if check["state"] == "problem"]
    assert (code, document["can_build"]) == ((1, False) if problems else (0, True))
    python = next(check for check in document["checks"] if check["name"] == "Python")
    assert ".".join(map(str, sys.version_info[:3])) in python["value"]


def test_the_table_on_this_machine(capsys, tmp_path):
    code = main(["doctor", "--folder", str(tmp_path)])
    shown = capsys.readouterr().out
    assert ("engines cannot be built here" in shown) == (code == 1)
    assert "TensorRT" in shown and os.path.basename(tmp_path) in shown.replace("\n", "")
