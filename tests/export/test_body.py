"""The body: one fused graph that says what the module says, under names that stay."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from edgekit.errors import EdgekitError
from edgekit.export.body import bodies, body
from edgekit.graphs.read import opset
from edgekit.students.registry import STUDENTS

SIZE = (32, 48)


def run(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))


@pytest.fixture(scope="module", params=sorted(STUDENTS))
def exported(request, student_of):
    student = student_of(request.param, width=None)
    return student, *bodies(student, SIZE, (17, 19)).values()


def test_every_student_says_the_same_in_onnx(exported):
    student, *models = exported
    x = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = student.network(x).split(list(student.sizes.values()), dim=1)
    for model in models:
        found = run(model, {"input": x.numpy()})
        assert list(found) == [f"{task.name}_logits" for task in student.tasks]
        for task, reference in zip(student.tasks, expected, strict=True):
            difference = np.abs(found[f"{task.name}_logits"] - reference.numpy()).max()
            assert difference <= 1e-5 * reference.abs().max(), task.name


def test_the_graph_is_fused_and_holds_for_any_size(exported):
    student, *models = exported
    for model in models:
        ops = {node.op_type for node in model.graph.node}
        assert "BatchNormalization" not in ops and "Split" not in ops
    # no constant knows the size it was exported at: the same nodes serve other sizes and batches
    model = onnx.ModelProto()
    model.CopyFrom(models[0])
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        for place in (0, 2, 3):
            value.type.tensor_type.shape.dim[place].dim_param = f"{value.name}{place}"
    x = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = student.network(x).numpy()
    found = np.concatenate(list(run(model, {"input": x.numpy()}).values()), axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_names_are_readable_and_stay(exported, student_of):
    student, *models = exported
    names = [[name for node in model.graph.node for name in node.output] for model in models]
    again = body(student_of(student.name, width=None, seed=7), SIZE)
    assert names[0] == names[1] == [name for node in again.graph.node for name in node.output]
    layers = dict(student.network.named_modules())
    convolutions = [node for node in models[0].graph.node if "Conv" in node.op_type]
    heads = [f"{task.name}_logits" for task in student.tasks]
    for node in convolutions:
        tensor = node.output[0]
        assert tensor in heads or tensor.removesuffix(".0") in layers, tensor
        assert node.input[1] == f"{node.name}.weight"
    assert len({node.name for node in models[0].graph.node}) == len(models[0].graph.node)


def test_files_say_nothing_of_the_machine(exported):
    raw = exported[1].SerializeToString()
    assert b"site-packages" not in raw and b".py" not in raw


def test_operator_set_and_format_are_those_of_the_lane(exported):
    _, weak, strong = exported
    assert (opset(weak), opset(strong)) == (17, 19)
    assert max(weak.ir_version, strong.ir_version) <= 10


def test_a_size_that_does_not_divide_names_the_one_to_use(student_of):
    with pytest.raises(EdgekitError, match="540x960") as caught:
        body(student_of(), (540, 960))
    assert "544x960" in caught.value.fix


def test_the_student_is_left_as_it_was(student_of):
    student = student_of("repseg")
    before = {k: v.clone() for k, v in student.state_dict().items()}
    body(student, SIZE)
    after = student.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[k], v) for k, v in before.items())
