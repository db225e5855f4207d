"""A whole bundle in milliseconds, whose network can be followed by hand.

It averages standardised rgb over cells of 4×4 pixels. The largest channel is the class (red, green, blue), its softmax
the confidence; mean brightness is the encoded depth of 1 to 100 m; the direction of the vector is the normal.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.bundle.manifest import SCHEMA, Artifact, Golden, Manifest, OutputTensor, Preprocessing, StudentInfo, Tensor
from edgekit.tasks import Task

SIZE, STRIDE = (64, 96), 4
MEAN, STD = (120.0, 125.0, 130.0), (60.0, 62.0, 64.0)
TASKS = (
    Task("semantic", "semantic", classes=("red", "green", "blue"), colours=((255, 0, 0), (0, 255, 0), (0, 0, 255))),
    Task("depth", "depth", range=(1.0, 100.0), unit="m"),
    Task("normals", "normals"),
)
CHANNELS = {"semantic": 3, "depth": 1, "normals": 3}


def write_tiny_bundle(folder: Path, *, fit: str = "letterbox", batch: int = 1, depth_scale: float = 1.0) -> Path:
    """Write the bundle into ``folder``: onnxruntime fp32 and int8, and the cache lane's fp32 graph."""
    folder.mkdir(parents=True)
    files = {"fp32.onnx": _frames_graph(batch), "int8.onnx": _frames_graph(batch, int8=True), "body.onnx": _body(batch)}
    for name, graph in files.items():
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        (folder / name).write_bytes(model.SerializeToString())
    _write_golden(folder, batch)
    manifest = Manifest(
        schema=SCHEMA,
        name="tiny",
        edgekit="0.1.0",
        created="2025-01-01T00:00:00Z",
        target="cpu",
        board=None,
        jetpack=None,
        student=StudentInfo("mean", 1, 0, 0, STRIDE),
        tasks=TASKS,
        preprocessing=Preprocessing(SIZE, fit, (120, 125, 130), MEAN, STD, depth_scale),
        artifacts=(
            _frames_artifact("fp32.onnx", "fp32", batch),
            _frames_artifact("int8.onnx", "int8", batch),
            Artifact(
                "body.onnx", "cache", "fp32", 17,
                Tensor("input", "float32", (batch, 3, *SIZE)),
                tuple(_output(t, "logits", "float32", (batch, c, *_low()), STRIDE) for t, c in CHANNELS.items()),
                tensorrt=("8.5", "10"),
            ),
        ),
        golden=Golden(
            "golden.npz", 2, "synthetic",
            {
                "onnxruntime/fp32": _tolerance(0.9999, 1e-4),
                "onnxruntime/int8": _tolerance(0.97, 1.0),
                "cache/fp32": {**_tolerance(0.9999, 1e-4), **{f"{t}_logits": {"error": 1e-4} for t in CHANNELS}},
            },
        ),
        metrics={"fp32": {"semantic": {"miou": 0.5}, "depth": {"absrel": 0.1}, "normals": {"mean_angle": 12.0}}},
        provenance={"recipe": {"name": "tiny"}},
        files={f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())},
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def rehash(folder: Path) -> None:
    """Make the manifest agree with the files again, as someone who means to deceive would."""
    path = folder / "manifest.json"
    manifest = Manifest.from_json(path.read_text())
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest.files}
    path.write_text(Manifest(**{**manifest.__dict__, "files": files}).to_json())


def _low() -> tuple[int, int]:
    return SIZE[0] // STRIDE, SIZE[1] // STRIDE


def _tolerance(agreement: float, error: float) -> dict[str, dict[str, float]]:
    return {
        "semantic_classes": {"agreement": agreement},
        "semantic_confidence": {"error": 2.0},
        "depth_depth": {"error": error},
        "normals_normals": {"error": error},
    }


def _output(task: str, form: str, dtype: str, shape: tuple[int, ...], stride: int) -> OutputTensor:
    return OutputTensor(f"{task}_{form}", dtype, shape, task, form, stride)


def _frames_artifact(file: str, precision: str, batch: int) -> Artifact:
    low, full = _low(), SIZE
    return Artifact(
        file, "onnxruntime", precision, 17,
        Tensor("frames", "uint8", (batch, *full, 3)),
        (
            _output("semantic", "classes", "uint8", (batch, *full), 1),
            _output("semantic", "confidence", "uint8", (batch, *full), 1),
            _output("depth", "depth", "float32", (batch, *low), STRIDE),
            _output("normals", "normals", "float32", (batch, 3, *low), STRIDE),
        ),
    )  # fmt: skip


def _constants(**arrays: np.ndarray) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items()]


def _heads() -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """From ``x``, standardised (N, 3, H, W), to the raw maps: the mean colour thrice, brightness in between."""
    grey = np.array(STD, np.float32)[None, :, None, None] / 3 / 255
    nodes = [
        helper.make_node("AveragePool", ["x"], ["pooled"], kernel_shape=[STRIDE] * 2, strides=[STRIDE] * 2),
        helper.make_node("Identity", ["pooled"], ["semantic_logits"]),
        helper.make_node("Conv", ["pooled", "grey", "dark"], ["depth_logits"]),
        helper.make_node("Identity", ["pooled"], ["normals_logits"]),
    ]
    return nodes, _constants(grey=grey, dark=np.array([sum(MEAN) / 3 / 255], np.float32))


def _body(batch: int) -> onnx.GraphProto:
    nodes, constants = _heads()
    nodes.insert(0, helper.make_node("Identity", ["input"], ["x"]))
    return helper.make_graph(
        nodes, "body",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (batch, 3, *SIZE))],
        [
            helper.make_tensor_value_info(f"{task}_logits", TensorProto.FLOAT, (batch, channels, *_low()))
            for task, channels in CHANNELS.items()
        ],
        constants,
    )  # fmt: skip


def _frames_graph(batch: int, *, int8: bool = False) -> onnx.GraphProto:
    heads, constants = _heads()
    pixels = [
        helper.make_node("Cast", ["frames"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["standardised"]),
    ]
    if int8:
        constants += _constants(scale=np.float32(4.5 / 255), zero=np.uint8(128))
        pixels += [
            helper.make_node("QuantizeLinear", ["standardised", "scale", "zero"], ["quantized"]),
            helper.make_node("DequantizeLinear", ["quantized", "scale", "zero"], ["x"]),
        ]
    else:
        pixels.append(helper.make_node("Identity", ["standardised"], ["x"]))
    answers = [
        helper.make_node("ArgMax", ["semantic_logits"], ["index"], axis=1, keepdims=1),
        helper.make_node("Cast", ["index"], ["index_float"], to=TensorProto.FLOAT),
        helper.make_node("Softmax", ["semantic_logits"], ["p"], axis=1),
        helper.make_node("ReduceMax", ["p"], ["won"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["won", "most"], ["won255"]),
        helper.make_node("Round", ["won255"], ["won_round"]),
        *(
            node
            for low, full in (("index_float", "semantic_classes"), ("won_round", "semantic_confidence"))
            for node in (
                helper.make_node("Resize", [low, "", "enlarge"], [f"{full}_4d"], mode="nearest", nearest_mode="floor",
                                 coordinate_transformation_mode="asymmetric"),
                helper.make_node("Squeeze", [f"{full}_4d", "channel"], [f"{full}_float"]),
                helper.make_node("Cast", [f"{full}_float"], [full], to=TensorProto.UINT8),
            )
        ),
        helper.make_node("Clip", ["depth_logits", "none", "all"], ["share"]),
        helper.make_node("Mul", ["share", "log_range"], ["log_depth"]),
        helper.make_node("Exp", ["log_depth"], ["metres"]),
        helper.make_node("Squeeze", ["metres", "channel"], ["depth_depth"]),
        helper.make_node("ReduceL2", ["normals_logits"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Max", ["length", "least"], ["divisor"]),
        helper.make_node("Div", ["normals_logits", "divisor"], ["normals_normals"]),
    ]  # fmt: skip
    constants += _constants(
        mean=np.array(MEAN, np.float32)[None, :, None, None],
        std=np.array(STD, np.float32)[None, :, None, None],
        most=np.float32(255), channel=np.array([1]), enlarge=np.array([1, 1, STRIDE, STRIDE], np.float32),
        none=np.float32(0), all=np.float32(1), log_range=np.float32(np.log(100)), least=np.float32(1e-6),
    )  # fmt: skip
    shapes = {o.name: (o.dtype, o.shape) for o in _frames_artifact("", "fp32", batch).outputs}
    return helper.make_graph(
        pixels + heads + answers, "frames",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, (batch, *SIZE, 3))],
        [
            helper.make_tensor_value_info(n, TensorProto.UINT8 if dtype == "uint8" else TensorProto.FLOAT, shape)
            for n, (dtype, shape) in shapes.items()
        ],
        constants,
    )  # fmt: skip


def _write_golden(folder: Path, batch: int) -> None:
    """Two frames of coloured cells, and what onnxruntime makes of them in fp32."""
    import onnxruntime

    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (2, *_low(), 3), dtype=np.uint8)
    frames = cells.repeat(STRIDE, axis=1).repeat(STRIDE, axis=2)
    standardised = ((frames - np.array(MEAN)) / STD).transpose(0, 3, 1, 2).astype(np.float32)
    answers = {}
    for file, name, feeds in (("fp32.onnx", "frames", frames), ("body.onnx", "input", standardised)):
        session = onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
        said = [session.run(None, {name: np.repeat(f[None], batch, axis=0)}) for f in feeds]
        answers |= {o.name: np.concatenate([s[i][:1] for s in said]) for i, o in enumerate(session.get_outputs())}
    np.savez_compressed(folder / "golden.npz", frames=frames, **answers)
