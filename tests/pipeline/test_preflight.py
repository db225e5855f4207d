"""What lint and estimate take: students before training, trained ones, ONNX files, bundles."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import onnx
import pytest

from edgekit.boards.lookup import find_board, find_jetpack
from edgekit.bundle.manifest import (
    SCHEMA,
    Artifact,
    Golden,
    Manifest,
    OutputTensor,
    Preprocessing,
    Profile,
    StudentInfo,
    Tensor,
)
from edgekit.errors import EdgekitError
from edgekit.export.body import body
from edgekit.pipeline.preflight import estimates, lint_reports
from edgekit.preflight.finding import Target
from edgekit.preflight.lint import lint
from edgekit.preflight.network import Network
from edgekit.quantize.qdq import write_qdq
from edgekit.quantize.topology import Topology
from edgekit.students.registry import STUDENTS
from edgekit.students.student import Student
from edgekit.tasks import Task

SIZE = (32, 48)
ORIN = {"board": "orin-nx-16gb", "jetpack": "6.2"}
DLA = {**ORIN, "dla": True}
TARGET = Target(find_board("orin-nx-16gb"), find_jetpack("6.2"))


@pytest.mark.parametrize("name", STUDENTS)
def test_every_student_builds_for_the_gpu_before_it_is_trained(name):
    (report,) = lint_reports(name, **ORIN, size=SIZE)
    assert report.builds and report.subject.startswith(name) and "32x48" in report.subject
    assert {node.op for node in report.nodes} >= {"Conv", "Relu", "Cast", "ArgMax"}


def test_repseg_is_whole_on_dla():
    (report,) = lint_reports("repseg", **DLA, size=SIZE)
    assert {node.place for node in report.nodes} == {"DLA"} and report.loadables == 1 and report.graph == ()


def test_safeuav_falls_back_where_dla_has_limits():
    (report,) = lint_reports("safeuav-430k", **DLA, size=SIZE)
    back = {node.op for node in report.nodes if node.place == "falls back"}
    assert "ConvTranspose" in back and report.builds


def test_a_trained_student(tmp_path):
    student = Student("repseg", [Task("depth", "depth", range=(1.0, 100.0), unit="m")], width=16)
    student.save(tmp_path / "student.pt")
    (report,) = lint_reports(str(tmp_path / "student.pt"), **ORIN, size=SIZE)
    assert "width 16" in report.subject and report.builds


def test_the_head_has_the_classes_asked_for():
    ((_, found),) = estimates("repseg", **ORIN, size=SIZE, classes=4)[0]
    ((_, more),) = estimates("repseg", **ORIN, size=SIZE, classes=8)[0]
    assert more[0].multiply_adds - found[0].multiply_adds == 8 * 12 * 32 * 4
    assert [e.precision for e in found] == ["fp16", "fp32", "int8"]


@pytest.fixture
def save(tmp_path):
    def write(text: str, name="g.onnx"):
        onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]>\ng {text}'), tmp_path / name)
        return tmp_path / name

    return write


def test_an_onnx_file_of_open_size(save):
    path = save("(float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu(x) }")
    (report,) = lint_reports(str(path), **DLA, size=SIZE)
    assert report.nodes[0].place == "DLA"
    (report,) = lint_reports(str(path), **DLA)
    assert report.nodes[0].place == "falls back"


def test_a_half_precision_graph_is_not_called_int8(tmp_path):
    made = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]>\ng (float16[1,1,4,4] x) => (float16[1,1,4,4] y) { y = Add(x, c) }'
    )
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.float16(1), "c"))
    onnx.save(made, tmp_path / "half.onnx")
    ((_, found),) = estimates(str(tmp_path / "half.onnx"), **ORIN)[0]
    assert "int8" not in [e.precision for e in found]


@pytest.mark.parametrize("subject", ["repsag", "none.onnx", "/no/such/bundle"])
def test_what_is_nothing(subject):
    with pytest.raises(EdgekitError, match="neither a student nor a file") as caught:
        lint_reports(subject, **ORIN)
    assert "repseg" in caught.value.fix


def test_classes_of_a_file(save):
    path = save("(float[1,3,8,8] x) => (float[1,3,8,8] y) { y = Relu(x) }")
    with pytest.raises(EdgekitError, match="--classes"):
        lint_reports(str(path), **ORIN, classes=3)


@pytest.fixture
def bundle(tmp_path):
    """A bundle of three files: frames of open size, logits, and one for newer TensorRTs."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    frames = "(uint8[batch,height,width,3] frames) => (uint8[batch,height,width] semantic_classes)"
    frames += "{ f = Cast<to=1>(frames) m = ReduceMax<axes=[3], keepdims=0>(f) semantic_classes = Cast<to=2>(m) }"
    logits = "(float[1,3,32,48] input) => (float[1,3,32,48] semantic_logits) { semantic_logits = Relu(input) }"
    newer = "(float[1,3,32,48] input) => (float[1,3,32,48] semantic_logits) { semantic_logits = Tanh(input) }"
    for name, text in (("fp32.onnx", frames), ("logits.onnx", logits), ("newer.onnx", newer)):
        onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]>\ng {text}'), folder / name)
    np.savez(folder / "golden.npz", frames=np.zeros((1, *SIZE, 3), np.uint8))

    def artifact(file, lane, tensorrt, profile=None):
        open_sides, small = ("batch", "height", "width"), (1, 3, *SIZE)
        if profile:
            given = Tensor("frames", "uint8", (*open_sides, 3))
            output = OutputTensor("semantic_classes", "uint8", open_sides, "semantic", "classes", 1)
        else:
            given = Tensor("input", "float32", small)
            output = OutputTensor("semantic_logits", "float32", small, "semantic", "logits", 1)
        return Artifact(file, lane, "fp32", 17, given, (output,), profile, tensorrt)

    one = (1, *SIZE, 3)
    names = ("fp32.onnx", "logits.onnx", "newer.onnx", "golden.npz")
    manifest = Manifest(
        schema=SCHEMA, name="b", edgekit="0", created="now", target="jetson", board=None, jetpack=None,
        student=StudentInfo("repseg", 32, 1, 1, 4),
        tasks=(Task("semantic", "semantic", classes=("a", "b", "c")),),
        preprocessing=Preprocessing(SIZE, "letterbox", (0, 0, 0), (0.0,) * 3, (1.0,) * 3),
        artifacts=(
            artifact("fp32.onnx", "onnxruntime", None, Profile(one, one, one)),
            artifact("fp32.onnx", "weak", ("8.5", "10"), Profile(one, one, one)),
            artifact("logits.onnx", "cache", ("8.5", "10")),
            artifact("newer.onnx", "strong", ("11", None)),
        ),
        golden=Golden("golden.npz", 1, "synthetic", {}),
        files={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def test_a_bundles_files_for_this_tensorrt(bundle):
    reports = lint_reports(str(bundle), **ORIN)
    assert [report.subject for report in reports] == ["fp32.onnx (weak/fp32)", "logits.onnx (cache/fp32)"]
    assert reports[0].nodes[0].shape == (1, *SIZE, 3)  # the profile's
    (only,) = lint_reports(str(bundle), **DLA)
    assert only.subject == "logits.onnx (cache/fp32)" and only.nodes[0].place == "DLA"
    assert lint_reports(str(bundle / "manifest.json"), **DLA) == [only]


def test_a_bundle_without_a_file_for_this_tensorrt(bundle):
    document = json.loads((bundle / "manifest.json").read_text())
    document["artifacts"] = [a for a in document["artifacts"] if a["lane"] in ("onnxruntime", "strong")]
    (bundle / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(EdgekitError, match=r"no file for TensorRT 10\.3\.0: its lanes are onnxruntime, strong"):
        lint_reports(str(bundle), **ORIN)


def test_a_damaged_bundle(bundle):
    (bundle / "logits.onnx").write_bytes(b"")
    with pytest.raises(EdgekitError, match="SHA-256"):
        estimates(str(bundle), **ORIN)


@pytest.fixture(scope="module", params=["repseg", "safeuav-150k"])
def float_body(request):
    task = Task("semantic", "semantic", classes=tuple("abcdefgh"))
    return body(Student(request.param, [task]).eval(), SIZE)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_quantizing_writes_for_tensorrt_has_nothing_to_complain_of(float_body, dtype):
    ranges = dict.fromkeys(Topology(float_body).activations, (-1.0, 1.0))
    quantized = write_qdq(float_body, ranges, style="tensorrt", dtype=dtype)
    report = lint(Network(quantized), TARGET, "quantized")
    assert any(node.op == "QuantizeLinear" for node in report.nodes)
    assert report.findings == []


def test_a_file_for_onnxruntime_does_not_build(float_body):
    ranges = dict.fromkeys(Topology(float_body).activations, (-1.0, 1.0))
    report = lint(Network(write_qdq(float_body, ranges)), TARGET, "quantized")
    assert {finding.rule for finding in report.findings if finding.level == "error"} == {"zero-point", "bias"}
