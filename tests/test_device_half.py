"""The contract of the device half: it works where torch and the rest of the workstation cannot be imported.

The import linter reads the code; these tests run it, in processes whose importer refuses the workstation's packages.
"""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import edgekit
from edgekit.cli.main import COMMANDS

WORKSTATION_PACKAGES = ("torch", "onnx", "pydantic", "ruamel", "cv2", "av", "scipy", "matplotlib", "jinja2")
CORE_PACKAGES = {"numpy", "click", "yaml", "rich", "PIL"}
# What a module may import beyond them, inside a function: a runtime, or what decodes video.
RUNTIMES: dict[str, set[str]] = {
    "edgekit.frames.opencv": {"cv2"},
    "edgekit.frames.pyav": {"av"},
    "edgekit.runtime.onnxruntime.backend": {"onnxruntime"},
    "edgekit.runtime.openvino.backend": {"openvino"},
    "edgekit.runtime.cuda.device": {"pycuda"},
    "edgekit.runtime.tensorrt.module": {"tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings"},
}
ROOMS = ("tasks", "frames", "bundle", "boards", "runtime", "engine", "bench", "remote")

REFUSE = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {WORKSTATION_PACKAGES!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""


def on_the_device(code: str) -> subprocess.CompletedProcess:
    """Run code in a process that cannot import the workstation's packages."""
    return subprocess.run([sys.executable, "-c", REFUSE + code], capture_output=True, text=True, check=False)


def edgekit_on_the_device(*args: str) -> subprocess.CompletedProcess:
    return on_the_device(f"from edgekit.cli.main import main; sys.exit(main({list(args)!r}))")


def device_modules() -> list[str]:
    found = ["edgekit.errors", "edgekit.parts", "edgekit.cli.main", "edgekit.cli.options", "edgekit.cli.output"]
    for room in ROOMS:
        folder = Path(edgekit.__file__).parent / room
        found.append(f"edgekit.{room}")
        found += [module.name for module in pkgutil.walk_packages([str(folder)], f"edgekit.{room}.")]
    return found


def test_the_packages_really_are_refused():
    for package in WORKSTATION_PACKAGES:
        done = on_the_device(f"import {package}")
        assert done.returncode == 1 and f"No module named '{package}'" in done.stderr


def test_every_module_imports():
    modules = device_modules()
    assert {"edgekit.tasks.semantic", "edgekit.frames.images"} <= set(modules)
    done = on_the_device(f"import importlib\nfor name in {modules!r}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", device_modules())
def test_third_party_imports_are_core_dependencies(module):
    file = Path(edgekit.__file__).parent.joinpath(*module.split(".")[1:])
    source = file.with_suffix(".py") if file.with_suffix(".py").exists() else file / "__init__.py"
    imported = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    assert imported - set(sys.stdlib_module_names) - {"edgekit"} <= CORE_PACKAGES | RUNTIMES.get(module, set())


def test_metrics_and_pictures_are_computed(tmp_path):
    code = f"""
import json
import numpy as np
from edgekit.frames.images import read_rgb, write_png
from edgekit.tasks import KINDS, Task, kind_of

target = np.zeros((4, 6), np.uint8)
target[:, 3:] = 1
prediction = target.copy()
prediction[0, 0] = 1  # of 24 pixels one is wrong: IoU 11/12 and 12/13
task = Task("semantic", "semantic", classes=("ground", "water"), colours=((90, 60, 30), (0, 0, 255)))
kind = kind_of(task)
meter = kind.meter(task)
meter.update(prediction, target, "scene")
write_png({str(tmp_path / "picture.png")!r}, kind.picture(task, target))
depth = Task("depth", "depth", range=(1.0, 100.0), unit="m")
soft = np.full((1, 4, 6), 0.5, np.float32)
print(json.dumps({{
    "miou": meter.result()["miou"],
    "colour": read_rgb({str(tmp_path / "picture.png")!r})[0, 5].tolist(),
    "metres": float(kind_of(depth).decode(depth, soft)[0, 0]),
    "kinds": sorted(KINDS),
}}))
"""
    done = on_the_device(code)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["miou"] == pytest.approx((11 / 12 + 12 / 13) / 2)
    assert said["colour"] == [0, 0, 255]
    assert said["metres"] == pytest.approx(10.0)  # halfway from 1 to 100 in the logarithm
    assert said["kinds"] == ["binary", "depth", "modality", "normals", "semantic"]


@pytest.mark.parametrize("args", [["--help"], ["--version"], *([name, "--help"] for name in sorted(COMMANDS))])
def test_help_needs_no_workstation_package(args):
    done = edgekit_on_the_device(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert "edgekit" in done.stdout


@pytest.mark.parametrize("args", [["distill", "x.yaml"], ["recipe", "show", "x.yaml"], ["students"]])
def test_a_workstation_command_names_the_extra(args):
    done = edgekit_on_the_device(*args)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "needs the train extra" in done.stderr and "pip install 'edgekit[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_json_a_missing_extra_is_a_document():
    done = edgekit_on_the_device("distill", "x.yaml", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["fix"] == "pip install 'edgekit[train]'"
