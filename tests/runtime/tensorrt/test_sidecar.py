"""A plan that does not belong here is refused before TensorRT sees it, with both values and the way back."""

from __future__ import annotations

import json
import platform
import shutil

import pytest

from edgekit.bundle.bundle import open_bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Options
from edgekit.runtime.load import open_backend
from edgekit.runtime.tensorrt.sidecar import SCHEMA, read_sidecar, sidecar_path


@pytest.fixture
def plan(jetson_bundle, built_here):
    return built_here(jetson_bundle, precision="fp16")[0].path


@pytest.fixture
def refusal(jetson_bundle, plan):
    """The error of opening the plan."""

    def run() -> EdgekitError:
        with pytest.raises(EdgekitError) as raised:
            open_backend(open_bundle(jetson_bundle), "tensorrt", options=Options(engine=plan))
        assert "NoneType" not in str(raised.value)
        return raised.value

    return run


def change(plan, edit) -> None:
    path = sidecar_path(plan)
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def test_what_was_written_is_read(plan):
    side = read_sidecar(plan)
    assert side.plan_bytes == plan.stat().st_size
    assert json.loads(side.to_json()) == json.loads(sidecar_path(plan).read_text())


def test_another_tensorrt(jetson_bundle, plan, refusal, tensorrt):
    tensorrt("10.13.3.9")
    error = refusal()
    assert error.what == "the engine was built for TensorRT 10.3.0, this machine has 10.13.3.9; plans do not move"
    assert error.fix == f"build it here: edgekit build {jetson_bundle} --lane weak --precision fp16"
    assert error.where == str(plan)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FAKE_GPU_NAME", "Xavier", "for GPU fake GPU, computed by onnxruntime, this machine has Xavier"),
        ("FAKE_GPU_SM", "7.2", "for compute capability 8.7, this machine has 7.2"),
    ],
)
def test_another_gpu(refusal, monkeypatch, variable, value, said):
    monkeypatch.setenv(variable, value)
    assert said in refusal().what


def test_another_platform(refusal, monkeypatch):
    built = platform.machine()
    monkeypatch.setattr(platform, "machine", lambda: "sparc")
    assert f"for platform {built}, this machine has sparc" in refusal().what


def test_another_network(jetson, jetson_bundle, refusal):
    jetson.change_graph(jetson_bundle, "weak.onnx", lambda model: setattr(model, "producer_name", "changed"))
    error = refusal()
    assert "built from another network" in error.what and "edgekit build" in error.fix


def test_another_bundle(plan, refusal):
    change(plan, lambda d: d.update(model="other.onnx", bundle="other"))
    assert "which the bundle does not have" in refusal().what


def test_a_plan_cut_short(plan, refusal):
    plan.write_bytes(plan.read_bytes()[:100])
    assert "not the one its sidecar describes (100 bytes" in refusal().what


def test_no_sidecar_no_plan(plan, refusal):
    kept = sidecar_path(plan).read_bytes()
    sidecar_path(plan).unlink()
    assert "has no sidecar" in refusal().what
    sidecar_path(plan).write_bytes(kept)
    plan.unlink()
    assert refusal().what == "there is no engine here"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"installed": {}}', '{"schema": 1, "installed": 3}', "\x00"])
def test_a_damaged_sidecar(plan, refusal, text):
    sidecar_path(plan).write_text(text)
    error = refusal()
    assert "the engine's sidecar" in error.what and "edgekit build" in error.fix


@pytest.mark.parametrize("schema", [SCHEMA - 1, SCHEMA + 1])
def test_a_sidecar_of_another_schema(plan, refusal, schema):
    change(plan, lambda d: d.update(schema=schema))
    error = refusal()
    assert f"schema {schema}" in error.what and "build the engine again" in error.fix


def test_a_dla_core_that_is_not_there(plan, refusal):
    change(plan, lambda d: d.update(dla_core=5))
    assert "runs on DLA core 5, TensorRT sees 2 of them here" in refusal().what


def test_a_tar_has_its_engines_beside_it(jetson_bundle, tmp_path, built_here):
    archive = shutil.make_archive(str(tmp_path / "packed"), "tar", jetson_bundle)
    (built,) = built_here(archive, precision="fp16")
    assert built.path.parent == tmp_path / "packed-engines"
    with open_backend(open_bundle(archive), "tensorrt") as backend:
        assert backend.describe()["engine"] == str(built.path)
