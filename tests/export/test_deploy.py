"""A deployed graph gives what numpy makes of the module's logits, in every form, type, size and batch."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from edgekit.bundle.manifest import Preprocessing
from edgekit.export.body import bodies
from edgekit.export.deploy import deploy, deploy_body
from edgekit.export.files import metadata
from edgekit.export.outputs import Style
from edgekit.graphs.check import GraphError
from edgekit.graphs.halve import halved
from edgekit.graphs.read import opset
from edgekit.tasks import KINDS, kind_of

SIZE = (48, 64)
FORMS = {name: KINDS[name].form_names for name in ("semantic", "depth", "normals", "binary")}
ALL = {"semantic": FORMS["semantic"], "depth": FORMS["depth"], "normals": FORMS["normals"], "landing": FORMS["binary"]}


@pytest.fixture(scope="module")
def student(student_of):
    return student_of("repseg")


@pytest.fixture(scope="module")
def made_in(student):
    return bodies(student, SIZE, (17, 19))


@pytest.fixture(scope="module")
def made(made_in):
    return made_in[17]


@pytest.fixture(scope="module")
def contract(student) -> Preprocessing:
    mean, std = (tuple(t.flatten().tolist()) for t in (student.mean, student.std))
    return Preprocessing(size=SIZE, fit="letterbox", pad=tuple(round(m) for m in mean), mean=mean, std=std)


def test_a_student_of_rgb_alone_has_one_input_and_says_what_it_sees(made, student, contract):
    forms = {task.name: ALL[task.name][:1] for task in student.tasks}
    about = metadata(student.tasks, forms, contract, {})
    described = deploy(made, student.tasks, forms, contract, student.network.stride, metadata=about).model
    read = {entry.key: entry.value for entry in described.metadata_props}
    assert [task["name"] for task in json.loads(read["preprocessing"])["modalities"]] == ["rgb"]
    assert [value.name for value in described.graph.input] == ["frames"]
    first = [(node.op_type, list(node.input)[:1], list(node.output)) for node in described.graph.node[:4]]
    assert first == [
        ("Cast", ["frames"], ["pre.float"]),
        ("Transpose", ["pre.float"], ["pre.planes"]),
        ("Sub", ["pre.planes"], ["pre.centred"]),
        ("Mul", ["pre.centred"], ["input"]),
    ]


NEAREST = Style("nearest")


def frames(count: int = 1, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def logits_of(student, pixels: np.ndarray) -> dict[str, np.ndarray]:
    with torch.no_grad():
        out = student(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    return {name: tensor.numpy() for name, tensor in out.items()}


def run(model: onnx.ModelProto, feed: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (value,) = session.get_inputs()
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, {value.name: feed}), strict=True))


def enlarged(array: np.ndarray, stride: int = 4) -> np.ndarray:
    return array.repeat(stride, axis=-2).repeat(stride, axis=-1)


def confidence(soft: np.ndarray) -> np.ndarray:
    winner = soft.max(axis=0) if len(soft) > 1 else np.maximum(soft[0], 1 - soft[0])
    return 255 * winner


def assert_levels(found: np.ndarray, expected: np.ndarray) -> None:
    """Rounded to a whole number: at most half a level away, and a hair."""
    assert found.dtype == np.uint8
    assert np.abs(found.astype(float) - expected).max() <= 0.5 + 1e-3


def test_every_form_is_what_numpy_makes_of_the_logits(student, made, contract):
    pixels = frames()
    deployed = deploy(made, student.tasks, ALL, contract, student.network.stride, style=NEAREST)
    found = run(deployed.model, pixels)
    raw = logits_of(student, pixels)
    assert list(found) == [o.name for o in deployed.outputs] == [f"{t}_{f}" for t in ALL for f in ALL[t]]
    for output in deployed.outputs:
        assert found[output.name].shape == output.shape and found[output.name].dtype == output.dtype
    for task in student.tasks:
        kind, logits = kind_of(task), raw[task.name][0]
        np.testing.assert_allclose(found[f"{task.name}_logits"][0], logits, atol=1e-5 * np.abs(logits).max())
        soft = kind.activation(task, logits)
        if task.kind in ("semantic", "binary"):
            native = found[f"{task.name}_{FORMS[task.kind][0]}"][0]
            assert (native == enlarged(kind.decode(task, soft))).mean() > 0.999
            np.testing.assert_allclose(found[f"{task.name}_probabilities"][0], soft, atol=1e-5)
            assert_levels(found[f"{task.name}_confidence"][0], enlarged(confidence(soft)))
        elif task.kind == "depth":
            np.testing.assert_allclose(found["depth_depth"][0], kind.decode(task, soft), rtol=1e-4)
        else:
            np.testing.assert_allclose(
                found["normals_normals"][0].transpose(1, 2, 0), kind.decode(task, soft), atol=1e-4
            )


def test_bilinear_interpolates_before_it_decides(student, made, contract):
    pixels = frames(seed=1)
    style = Style(upsampling="bilinear", floats="float16")
    forms = {"semantic": ("classes", "confidence"), "depth": ("depth",), "normals": ("normals",), "landing": ("mask",)}
    deployed = deploy(made, student.tasks, forms, contract, 4, style=style)
    found, raw = run(deployed.model, pixels), logits_of(student, pixels)
    semantic, landing = student.tasks[0], student.tasks[3]
    large = {
        t.name: F.interpolate(torch.from_numpy(raw[t.name]), size=SIZE, mode="bilinear", align_corners=False).numpy()[0]
        for t in (semantic, landing)
    }
    assert (found["semantic_classes"][0] == large["semantic"].argmax(axis=0)).mean() > 0.999
    assert_levels(
        found["semantic_confidence"][0], confidence(kind_of(semantic).activation(semantic, large["semantic"]))
    )
    assert (found["landing_mask"][0] == (large["landing"][0] > 0)).mean() > 0.999
    depth = student.tasks[1]
    assert found["depth_depth"].dtype == found["normals_normals"].dtype == np.float16
    expected = kind_of(depth).decode(depth, kind_of(depth).activation(depth, raw["depth"][0]))
    np.testing.assert_allclose(found["depth_depth"][0].astype(np.float32), expected, rtol=1e-3)
    by_name = {o.name: o for o in deployed.outputs}
    assert by_name["semantic_classes"].stride == 1 and by_name["depth_depth"].stride == 4


def test_half_precision_is_written_in_the_types(student, made_in, contract):
    model = halved(made_in[19])
    deployed = deploy(model, student.tasks, ALL, contract, 4, style=NEAREST)
    assert opset(deployed.model) == 19
    weights = [t for t in deployed.model.graph.initializer if t.name.endswith(".weight")]
    assert weights and all(t.data_type == onnx.TensorProto.FLOAT16 for t in weights)
    inferred = onnx.shape_inference.infer_shapes(deployed.model, strict_mode=True)
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.graph.value_info}
    convolved = [node.output[0] for node in deployed.model.graph.node if node.op_type == "Conv"]
    assert {types[name] for name in convolved if name in types} == {onnx.TensorProto.FLOAT16}

    pixels = frames(seed=2)
    found, raw = run(deployed.model, pixels), logits_of(student, pixels)
    assert found["semantic_logits"].dtype == np.float16
    for task in student.tasks:
        np.testing.assert_allclose(
            found[f"{task.name}_logits"].astype(np.float32), raw[task.name], atol=0.01 * np.abs(raw[task.name]).max()
        )
    assert (found["semantic_classes"][0] == enlarged(raw["semantic"][0].argmax(axis=0))).mean() > 0.97


def test_a_weight_beyond_half_precision_is_refused(made_in):
    model = onnx.ModelProto()
    model.CopyFrom(made_in[19])
    weight = next(t for t in model.graph.initializer if t.name == "head.depth.bias")
    weight.CopyFrom(onnx.numpy_helper.from_array(np.array([1e5], np.float32), weight.name))
    with pytest.raises(GraphError, match=r"head\.depth\.bias.*65504"):
        halved(model)


def test_open_dimensions_take_any_batch_and_size(student, made, contract):
    forms = {task.name: FORMS[task.kind][:1] for task in student.tasks}
    both = frozenset({"batch", "size"})
    deployed = deploy(made, student.tasks, forms, contract, 4, style=NEAREST, open_dimensions=both)
    assert deployed.input.shape == ("batch", "height", "width", 3)
    shapes = {o.name: o.shape for o in deployed.outputs}
    assert shapes["semantic_classes"] == ("batch", "height", "width")
    assert shapes["depth_depth"] == ("batch", "height/4", "width/4")
    for size in (SIZE, (64, 96)):
        pixels = frames(3, size)
        found = run(deployed.model, pixels)
        for i in range(3):
            raw = logits_of(student, pixels[i : i + 1])["semantic"][0]
            assert (found["semantic_classes"][i] == enlarged(raw.argmax(axis=0))).mean() > 0.999


def test_the_plain_graph_takes_standardised_input_and_gives_logits(student, made, contract):
    deployed = deploy_body(made, student.tasks, 4)
    assert (deployed.input.name, deployed.input.shape) == ("input", (1, 3, *SIZE))
    assert [(o.name, o.form, o.stride) for o in deployed.outputs] == [
        (f"{t.name}_logits", "logits", 4) for t in student.tasks
    ]
    pixels = frames(seed=3)
    planes = (pixels.transpose(0, 3, 1, 2) - np.reshape(contract.mean, (1, 3, 1, 1))) / np.reshape(
        contract.std, (1, 3, 1, 1)
    )
    found, raw = run(deployed.model, planes.astype(np.float32)), logits_of(student, pixels)
    for name, reference in raw.items():
        np.testing.assert_allclose(found[f"{name}_logits"], reference, atol=1e-5 * np.abs(reference).max())


def test_tensors_of_the_body_have_one_name_in_every_file(student, made, made_in, contract):
    inner = {name for node in made.graph.node for name in node.output} | {"input"}
    strong = halved(made_in[19])
    for model in (
        deploy(made, student.tasks, ALL, contract, 4).model,
        deploy(strong, student.tasks, ALL, contract, 4).model,
    ):
        assert inner <= {name for node in model.graph.node for name in node.output}


def test_uint8_feeds_a_cast_and_nothing_else(student, made, contract):
    graph = deploy(made, student.tasks, ALL, contract, 4).model.graph
    readers = [node.op_type for node in graph.node if "frames" in node.input]
    makers = {node.op_type for node in graph.node for o in node.output if o.endswith(("classes", "mask", "confidence"))}
    assert readers == ["Cast"] and makers == {"Cast"}


def test_metadata_is_in_the_file(student, made, contract):
    deployed = deploy(made, student.tasks, ALL, contract, 4, metadata={"recipe": "tiny", "classes": '["sky"]'})
    assert {p.key: p.value for p in deployed.model.metadata_props} == {"recipe": "tiny", "classes": '["sky"]'}


def naive(made: onnx.ModelProto, contract: Preprocessing) -> onnx.ModelProto:
    """What must not be done: normalisation folded into the first convolution, whose zeros then mean black."""
    out = onnx.ModelProto()
    out.CopyFrom(made)
    first = next(node for node in out.graph.node if node.op_type == "Conv")
    arrays = {t.name: t for t in out.graph.initializer}
    weight, bias = (onnx.numpy_helper.to_array(arrays[name]).astype(np.float64) for name in first.input[1:3])
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in (contract.mean, contract.std))
    folded = weight / std
    shifted = bias - (folded * mean).sum(axis=(1, 2, 3))
    for name, value in zip(first.input[1:3], (folded, shifted), strict=True):
        arrays[name].CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), name))
    return out


def test_normalisation_is_right_at_the_border_where_folding_is_not(student, made, contract):
    pixels = frames(seed=4)
    raw = logits_of(student, pixels)["semantic"]
    border = np.ones(raw.shape[-2:], bool)
    border[1:-1, 1:-1] = False
    most = np.abs(raw).max()

    ours = run(deploy(made, student.tasks, {t.name: ("logits",) for t in student.tasks}, contract, 4).model, pixels)
    assert np.abs(ours["semantic_logits"] - raw)[..., border].max() <= 1e-5 * most

    folded = run(
        deploy_body(naive(made, contract), student.tasks, 4).model, pixels.transpose(0, 3, 1, 2).astype(np.float32)
    )
    difference = np.abs(folded["semantic_logits"] - raw)
    assert difference[..., border].max() > 1e-2 * most, "the naive fold must fail here, or this test shows nothing"
