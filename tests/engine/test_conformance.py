"""What the engine code uses of TensorRT, against the real Python bindings of four versions, and of TensorRT for RTX.

The uses are not listed by hand: the code runs over the fake, which records every one of them. Then

- the fake's specification must be what the real bindings of the version hold, loaded with stub libraries;
- each recorded use must exist in them, with the arguments it was called with;
- each use that stands in the source must have been recorded in at least one version;
- each method that a class of ours overrides must be one that the real base class calls.

Nothing executes in the real bindings: this proves names and arguments, not behaviour.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.frames.images import write_png

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests" / "fakes"
VERSIONS = ("8.6.1", "10.3.0", "10.13.3.9", "11.4.0.106", "1.7.1.116")
RTX = VERSIONS[-1]  # TensorRT for RTX: engines are run, and none is built
EXAMPLE = ROOT / "examples" / "infer_trt.py"
FOLDERS = (ROOT / "edgekit" / "engine", ROOT / "edgekit" / "runtime" / "tensorrt")
SOURCES = sorted([*(file for folder in FOLDERS for file in folder.glob("*.py")), EXAMPLE])
# Names of TensorRT's that are ordinary words of numpy's or of ours: which of them a line means cannot be told from its
# text. Where they are TensorRT's they are recorded and checked like all others.
ORDINARY = {
    "name", "shape", "dtype", "type", "nbytes", "flags", "engine", "logger", "context", "reset", "log", "precision",
    "code", "node", "file", "location",
}  # fmt: skip


def load(file: Path):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


real_bindings = load(ROOT / "tools" / "real_bindings.py")


@pytest.fixture(scope="session", params=VERSIONS)
def real(request) -> dict:
    """What the real bindings of a version hold."""
    try:
        return real_bindings.dump(request.param, download=False)
    except real_bindings.Unavailable as reason:
        pytest.skip(f"the real bindings of TensorRT {request.param} cannot be loaded here: {reason}")


@pytest.fixture(scope="session")
def recorded(tiny, jetson, tiny_bundle, tmp_path_factory) -> list[dict]:
    """Every use of TensorRT that running the scenario in all versions makes."""
    work = tmp_path_factory.mktemp("scenario")
    frames = work / "frames"
    frames.mkdir()
    write_png(frames / "0.png", np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    record = work / "uses.jsonl"
    for version in VERSIONS:
        own = work / version
        own.mkdir()
        source = jetson.write_jetson_bundle(tiny, tiny_bundle, own / "bundle")
        dynamic = jetson.write_jetson_bundle(tiny, tiny_bundle, own / "dynamic", dynamic=True)
        environment = dict(
            os.environ,
            PYTHONPATH=os.pathsep.join([str(FAKES), str(ROOT), *filter(None, sys.path)]),
            FAKE_TENSORRT_VERSION=version,
            FAKE_TENSORRT_RECORD=str(record),
            EDGEKIT_CACHE=str(own / "cache"),
        )
        command = [sys.executable, str(FAKES / "scenario.py"), *map(str, (source, dynamic, frames, own, EXAMPLE))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in record.read_text().splitlines()]


def test_the_fake_is_specified_from_the_real_bindings(real):
    committed = json.loads((FAKES / "names" / f"{real['version']}.json").read_text())
    assert committed == real, "run tools/real_bindings.py"


def test_every_recorded_use_exists(recorded, real):
    """In each version: class, attribute, method, number and names of arguments, what may be set, enum member."""
    uses = [u for u in recorded if u["version"] == real["version"] and u["use"] != "missing"]
    assert len({(u["owner"], u["name"]) for u in uses}) > (15 if real["version"] == RTX else 50)
    wrong = [f"{u['owner']}.{u['name']} ({u['use']}) at {u['file']}:{u['line']}" for u in uses if not exists(u, real)]
    assert wrong == []


def exists(use: dict, real: dict) -> bool:
    owner, name, kind = use["owner"], use["name"], use["use"]
    if owner == "module":
        found = name in real["module"] or name == "__version__"
        return found and (kind != "construct" or accepted(real["classes"][name]["__init__"], use))
    if owner in real["enums"]:
        return name in real["enums"][owner]
    members = real["classes"].get(owner, {})
    if name not in members:
        return False
    if kind == "set":
        return members[name] == "value"
    return accepted(members[name], use) if kind == "call" else True


def accepted(overloads: list[list[str]], use: dict) -> bool:
    for overload in overloads:
        parameters = [p for p in overload if p != "self"]
        names = [p.rstrip("=") for p in parameters]
        given = names[: use["count"]] + use["keywords"]
        required = {p for p in parameters if not p.endswith("=")}
        if use["count"] <= len(names) and set(use["keywords"]) <= set(names[use["count"] :]) and required <= set(given):
            return True
    return False


def known_names() -> set[str]:
    """Every attribute of TensorRT's classes and enums in any version."""
    found = set()
    for version in VERSIONS:
        document = json.loads((FAKES / "names" / f"{version}.json").read_text())
        for members in (*document["classes"].values(), *document["enums"].values()):
            found |= {name for name in members if not name.startswith("_")}
        found |= set(document["module"])
    return found - ORDINARY


def uses_in(tree: ast.AST) -> list[tuple[str, int, int]]:
    """(attribute, first line, last line) of ``x.attribute`` and ``hasattr(x, "attribute")`` in a source."""
    names, found = known_names(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_module = isinstance(node.value, ast.Name) and node.value.id == "trt" and not node.attr.startswith("__")
            if of_module or node.attr in names:
                found.append((node.attr, node.lineno, node.end_lineno))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("hasattr", "getattr"):
            asked = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
            if asked in names:
                found.append((asked, node.lineno, node.end_lineno))
    return found


def test_every_use_in_the_source_was_exercised(recorded):
    seen = {(u["file"], u["name"], u["line"]) for u in recorded}
    missed = []
    for file in SOURCES:
        for name, first, last in uses_in(ast.parse(file.read_text())):
            if not any((str(file), name, line) in seen for line in range(first, last + 1)):
                missed.append(f"{file.relative_to(ROOT)}:{first} {name}")
    assert missed == []


def test_a_use_that_nothing_exercises_is_found():
    """The scan itself: it must see a new attribute, a new member and a new probe."""
    code = "config.set_tactic_sources(1)\nhasattr(config, 'max_aux_streams')\nx = trt.BuilderFlag.REFIT\n"
    assert {name for name, _, _ in uses_in(ast.parse(code))} == {
        "set_tactic_sources", "max_aux_streams", "BuilderFlag", "REFIT",
    }  # fmt: skip


def test_a_wrong_use_is_found():
    """The check itself: a name, a keyword, a count and a property that the real ones do not have."""
    real = json.loads((FAKES / "names" / "10.3.0.json").read_text())
    use = {"owner": "IBuilderConfig", "name": "set_memory_pool_limit", "use": "call", "count": 2, "keywords": []}
    assert exists(use, real)
    for change in ({"name": "set_memory_limit"}, {"count": 1}, {"count": 3}, {"count": 1, "keywords": ["bytes"]}):
        assert not exists({**use, **change}, real)
    assert exists({**use, "count": 1, "keywords": ["pool_size"]}, real)
    assert not exists({"owner": "Builder", "name": "num_DLA_cores", "use": "set"}, real)
    assert not exists({"owner": "BuilderFlag", "name": "FP32", "use": "member"}, real)
    assert not exists({"owner": "module", "name": "IPluginV9", "use": "get"}, real)


BASES = {"base": "IInt8MinMaxCalibrator"}  # the calibrator's base is chosen by the user


def test_overridden_methods_are_ones_that_tensorrt_calls():
    """A misspelt override is never called, and TensorRT says nothing."""
    found = {}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    name = base.attr if isinstance(base, ast.Attribute) else BASES.get(getattr(base, "id", ""))
                    if name:
                        methods = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
                        found.setdefault(name, set()).update(m for m in methods if not m.startswith("_"))
    assert {
        "ILogger",
        "IProfiler",
        "IProgressMonitor",
        "IInt8EntropyCalibrator2",
        "IInt8MinMaxCalibrator",
    } <= found.keys()
    document = json.loads((FAKES / "names" / "10.3.0.json").read_text())
    for name, methods in found.items():
        if name in document["classes"]:
            assert methods <= document["classes"][name].keys()
