"""Every student's TensorRT files through NVIDIA's compiler; the command, its exit code and its JSON."""

from __future__ import annotations

import json

import onnx
import pytest

from edgekit.boards.lookup import find_board
from edgekit.cli.main import main
from edgekit.compile.compiler import compile_model, is_there
from edgekit.compile.kernels import count
from edgekit.pipeline.compile import NOT_COMPILED, compile_export, student_files, verdict
from edgekit.preflight.network import network_of
from edgekit.preflight.roofline import estimate
from edgekit.students.registry import STUDENTS
from edgekit.students.student import Student
from edgekit.tasks import Task, kind_of

pytestmark = pytest.mark.skipif(not is_there(), reason="TensorRT for RTX is not installed")

SEMANTIC = Task("semantic", "semantic", classes=tuple("abcdefgh"))
KINDS = (
    SEMANTIC,
    Task("depth", "depth", range=(1.0, 300.0), unit="m"),
    Task("normals", "normals"),
    Task("landing", "binary"),
)
BOTH = frozenset(("batch", "size"))
STRONG = {"int8-strong.onnx", "fp16-strong.onnx"}


def compiled(student: Student, size=(112, 192), only=None, **more):
    """File → what became of it; fails with NVIDIA's words where one is refused or its table is not understood."""
    found = {}
    for file in student_files(student.eval(), size, **more):
        if only is None or file.name in only:
            found[file.name] = compile_model(file.model, file.name, profiles=file.profiles)
            assert found[file.name].taken, verdict(found[file.name])
            assert found[file.name].engine.not_understood == ()
    return found


def test_repseg_is_all_int8_in_31_kernels():
    """A change in kernels is seen here: two per convolution, one for the frame, two for the answer. And the estimate
    counts as the compiler does, but for one kernel at most."""
    student = Student("repseg", [SEMANTIC])
    found = compiled(student, only=STRONG)
    int8, fp16 = (count(found[name].engine.kernels) for name in ("int8-strong.onnx", "fp16-strong.onnx"))
    assert int8["convolutions_reading"] == {"INT8": 14} and fp16["convolutions_reading"] == {"FP16": 14}
    assert int8["kernels"] == 31 and fp16["kernels"] == 20
    assert verdict(found["int8-strong.onnx"]).startswith("taken, 14 of 14 convolutions in INT8, ")
    graphs = {f.name: network_of(onnx.load_from_string(f.model), f.name) for f in student_files(student, (112, 192))}
    board = find_board("orin-nano-8gb")
    half = estimate(graphs["fp16-strong.onnx"], board, "fp16", "repseg")
    whole = estimate(graphs["int8-strong.onnx"], board, "int8", "repseg")
    assert abs(len(half.layers) - fp16["kernels"]) <= 1 and abs(whole.estimate_most_kernels - int8["kernels"]) <= 1


def test_every_file_with_open_batch_and_size():
    assert len(compiled(Student("repseg", [SEMANTIC], width=16), open_dimensions=BOTH)) == 5


@pytest.mark.parametrize("size", [(112, 192), (544, 960)])
@pytest.mark.parametrize("open_dimensions", [frozenset(), BOTH], ids=["fixed", "open"])
@pytest.mark.parametrize("name", STUDENTS)
def test_every_student_is_taken(name, size, open_dimensions):
    compiled(Student(name, [SEMANTIC]), size, only=STRONG, open_dimensions=open_dimensions)


@pytest.mark.parametrize("task", KINDS, ids=lambda task: task.kind)
def test_every_kind_and_form_of_output_is_taken(task):
    compiled(Student("repseg", [task], width=16), only=STRONG, outputs={task.name: kind_of(task).form_names})


@pytest.mark.slow
@pytest.mark.parametrize("open_dimensions", [frozenset(), frozenset({"batch"}), frozenset({"size"}), BOTH])
@pytest.mark.parametrize("name", STUDENTS)
def test_every_file_of_every_student_is_taken(name, open_dimensions):
    assert len(compiled(Student(name, [SEMANTIC]), open_dimensions=open_dimensions)) == 5


def test_the_command_exits_with_1_where_a_file_is_refused(tmp_path, capsys):
    text = '<ir_version: 8, opset_import: ["": 17]>\ng (float[1,4,8,8] x) => (float[1,4,8,8] y) { y = Relu(x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "good.onnx")
    bad = text.replace("float[1,4,8,8] y", "float[A] y").replace("Relu", "Unique")
    onnx.save(onnx.parser.parse_model(bad), tmp_path / "bad.onnx")
    assert main(["compile", str(tmp_path / "good.onnx"), "--save", str(tmp_path / "out")]) == 0
    assert "good.onnx: taken" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good.rtx", "good.svg"}
    assert main(["compile", str(tmp_path / "bad.onnx"), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["taken"] is False and document["files"][0]["refusals"][0]["operator"] == "Unique"


def test_an_open_input_wants_a_size(tmp_path, capsys):
    text = '<ir_version: 8, opset_import: ["": 17]>\ng (float[N,3,H,W] x) => (float[N,3,H,W] y) { y = Relu(x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "open.onnx")
    assert main(["compile", str(tmp_path / "open.onnx")]) == 2
    assert "--size" in capsys.readouterr().err
    assert main(["compile", str(tmp_path / "open.onnx"), "--size", "32x48"]) == 0


def test_an_export_without_the_compiler_says_so(monkeypatch):
    from edgekit.bundle.manifest import Artifact, Tensor
    from edgekit.pipeline import compile as room

    monkeypatch.setattr(room, "is_there", lambda: False)
    frames = Tensor("frames", "uint8", (1, 8, 8, 3))
    artifacts = [
        Artifact("fp32.onnx", "onnxruntime", "fp32", 17, frames, ()),
        Artifact("int8-strong.onnx", "strong", "int8", 19, frames, (), None, ("10", None)),
    ]
    found = compile_export(artifacts, {"fp32.onnx": b"", "int8-strong.onnx": b""}, None)
    assert {name: verdict(compiled) for name, compiled in found.items()} == {"int8-strong.onnx": NOT_COMPILED}
