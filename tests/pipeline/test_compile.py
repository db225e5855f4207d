"""Every student's TensorRT files through NVIDIA's compiler; the command, its exit code and its JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass

import onnx
import pytest

from edgekit import tasks
from edgekit.boards.lookup import find_board
from edgekit.cli.main import main
from edgekit.compile.compiler import compile_model, is_there
from edgekit.compile.kernels import count
from edgekit.pipeline.compile import student_files, verdict
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
EVERY_FORM = {task.name: kind_of(task).form_names for task in KINDS}
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
    assert only is None or found.keys() == only
    return found


@dataclass(frozen=True)
class Counts:
    """Of a student at 112×192: convolutions in INT8 and in all; kernels of the compiler in INT8 and FP16; kernels of
    the estimate, and at the upper end of its band."""

    int8: int
    convolutions: int
    kernels: tuple[int, int]
    estimate: tuple[int, int]


COUNTS = {
    "repseg": Counts(14, 14, (31, 20), (19, 30)),
    "lite": Counts(32, 32, (65, 38), (37, 64)),
    "safeuav-150k": Counts(11, 22, (43, 34), (31, 43)),
    "safeuav-430k": Counts(13, 22, (45, 34), (31, 45)),
}


def test_every_student_is_counted():
    assert COUNTS.keys() == set(STUDENTS)


@pytest.mark.parametrize("name", COUNTS)
def test_convolutions_and_kernels_are_those_of_the_documentation(name):
    """A change that costs kernels is seen here, and one of the compiler."""
    student, known = Student(name, [SEMANTIC]), COUNTS[name]
    found = compiled(student, only=STRONG)
    int8, fp16 = (count(found[file].engine.kernels) for file in ("int8-strong.onnx", "fp16-strong.onnx"))
    reading = int8["convolutions_reading"]
    assert (reading.get("INT8", 0), int8["convolutions"]) == (known.int8, known.convolutions)
    assert fp16["convolutions_reading"] == {"FP16": known.convolutions}
    assert (int8["kernels"], fp16["kernels"]) == known.kernels
    said = f"{known.int8} of {known.convolutions} convolutions in INT8"
    assert said in verdict(found["int8-strong.onnx"])
    graphs = {f.name: network_of(onnx.load_from_string(f.model), f.name) for f in student_files(student, (112, 192))}
    board = find_board("orin-nano-8gb")
    half = estimate(graphs["fp16-strong.onnx"], board, "fp16", name)
    whole = estimate(graphs["int8-strong.onnx"], board, "int8", name)
    assert (len(half.layers), len(whole.layers)) == (known.estimate[0],) * 2
    assert whole.estimate_most_kernels == known.estimate[1]


def test_every_file_with_open_batch_and_size():
    assert len(compiled(Student("repseg", [SEMANTIC], width=16), open_dimensions=BOTH)) == 5


@pytest.mark.parametrize("size", [(112, 192), (544, 960)])
@pytest.mark.parametrize("open_dimensions", [frozenset(), BOTH], ids=["fixed", "open"])
@pytest.mark.parametrize("name", STUDENTS)
def test_every_student_is_taken_with_every_kind_and_form_of_output(name, size, open_dimensions):
    student = Student(name, list(KINDS))
    compiled(student, size, only=STRONG, open_dimensions=open_dimensions, outputs=EVERY_FORM)


def test_no_kind_is_left_out():
    assert {task.kind for task in KINDS} == {name for name, kind in tasks.KINDS.items() if kind.predictable}


@pytest.mark.slow
@pytest.mark.parametrize("size", [(112, 192), (544, 960)])
@pytest.mark.parametrize("open_dimensions", [frozenset(), frozenset({"batch"}), frozenset({"size"}), BOTH])
@pytest.mark.parametrize("name", STUDENTS)
def test_every_file_of_every_student_is_taken(name, open_dimensions, size):
    student = Student(name, list(KINDS))
    assert len(compiled(student, size, open_dimensions=open_dimensions, outputs=EVERY_FORM)) == 5


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
