"""The small bundle of tests/tiny_bundle.py as `edgekit export --target jetson` would write it: every TensorRT lane."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.bundle.manifest import Artifact, Manifest, Profile, Ranges, Tensor

SCALE = 2.2 / 127


def write_jetson_bundle(tiny: ModuleType, source: Path, folder: Path, *, dynamic: bool = False) -> Path:
    """``source``: what ``tiny.write_tiny_bundle`` wrote. dynamic: a batch of 1 to 4."""
    shutil.copytree(source, folder)
    manifest = Manifest.from_json((folder / "manifest.json").read_text())
    graphs = {
        "weak.onnx": _frames(tiny, 17, None),
        "weak-int8.onnx": _frames(tiny, 17, "int8"),
        "strong-fp32.onnx": _frames(tiny, 19, None),
        "strong-fp16.onnx": _frames(tiny, 19, "half"),
        "strong-int8.onnx": _frames(tiny, 19, "half int8"),
        "body.onnx": onnx.load(folder / "body.onnx"),
    }
    for name, model in graphs.items():
        if dynamic:
            _open_batch(model)
        (folder / name).write_bytes(model.SerializeToString())
    artifacts = [
        _artifact(tiny, "weak.onnx", "weak", "fp32", dynamic),
        _artifact(tiny, "weak.onnx", "weak", "fp16", dynamic),
        _artifact(tiny, "weak-int8.onnx", "weak", "int8", dynamic),
        _artifact(tiny, "strong-fp32.onnx", "strong", "fp32", dynamic),
        _artifact(tiny, "strong-fp16.onnx", "strong", "fp16", dynamic),
        _artifact(tiny, "strong-int8.onnx", "strong", "int8", dynamic),
        *(_body(manifest, precision, dynamic) for precision in ("fp32", "fp16", "int8")),
    ]
    tolerance = {f"{a.lane}/{a.precision}": tiny._tolerance(0.9, 2.0) for a in artifacts}
    files = dict(manifest.files)
    files.update({name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in graphs})
    tensors = {"input": (-2.2, 2.1), "x": (-2.2, 2.1), "pooled": (-2.2, 2.1), "scope::depth": (0.0, 1.0)}
    manifest = dataclasses.replace(
        manifest,
        target="jetson",
        artifacts=(*(a for a in manifest.artifacts if a.lane == "onnxruntime"), *artifacts),
        golden=dataclasses.replace(manifest.golden, tolerance={**manifest.golden.tolerance, **tolerance}),
        ranges=Ranges("percentile", 8, tensors, (), files["body.onnx"], "f" * 64, "e" * 64),
        files=files,
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def change_graph(folder: Path, file: str, change) -> None:
    """Let ``change`` edit an ONNX file of the bundle, and make the manifest agree."""
    model = onnx.load(folder / file)
    change(model)
    (folder / file).write_bytes(model.SerializeToString())
    version = next(o.version for o in model.opset_import if o.domain == "")
    change_manifest(folder, lambda m: _of_opset(_rehashed(m, folder, file), file, version))


def change_manifest(folder: Path, change) -> None:
    path = folder / "manifest.json"
    path.write_text(change(Manifest.from_json(path.read_text())).to_json())


def _of_opset(manifest: Manifest, file: str, version: int) -> Manifest:
    artifacts = (dataclasses.replace(a, opset=version) if a.file == file else a for a in manifest.artifacts)
    return dataclasses.replace(manifest, artifacts=tuple(artifacts))


def _rehashed(manifest: Manifest, folder: Path, file: str) -> Manifest:
    digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    ranges = manifest.ranges
    if ranges is not None and file == "body.onnx":
        ranges = dataclasses.replace(ranges, model=digest)
    return dataclasses.replace(manifest, files={**manifest.files, file: digest}, ranges=ranges)


def _frames(tiny: ModuleType, opset: int, kind: str | None) -> onnx.ModelProto:
    """The fp32 graph; ``half``: its input passes through float16, ``int8``: through symmetric Q/DQ."""
    graph = tiny._frames_graph(1)
    for i, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{i}"
    if opset >= 18:
        _axes_as_inputs(graph)
    at = next(i for i, n in enumerate(graph.node) if n.op_type == "Identity" and n.output[0] == "x")
    graph.node.remove(graph.node[at])
    dtype, name, nodes = np.float32, "standardised", []
    if kind and "half" in kind:
        nodes.append(helper.make_node("Cast", [name], ["halves"], to=TensorProto.FLOAT16, name="to_half"))
        dtype, name = np.float16, "halves"
    if kind and "int8" in kind:
        graph.initializer.append(numpy_helper.from_array(np.array(SCALE, dtype), "q_scale"))
        graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), "q_zero"))
        nodes.append(helper.make_node("QuantizeLinear", [name, "q_scale", "q_zero"], ["q"], name="quantize"))
        nodes.append(helper.make_node("DequantizeLinear", ["q", "q_scale", "q_zero"], ["dq"], name="dequantize"))
        name = "dq"
    last = helper.make_node("Cast", [name], ["x"], to=TensorProto.FLOAT, name="from_half")
    nodes.append(last if dtype is np.float16 else helper.make_node("Identity", [name], ["x"], name="x"))
    for node in reversed(nodes):
        graph.node.insert(at, node)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def _axes_as_inputs(graph: onnx.GraphProto) -> None:
    """Since opset 18 the reductions take their axes as an input."""
    for node in graph.node:
        if node.op_type in ("ReduceMax", "ReduceL2"):
            axes = next(a for a in node.attribute if a.name == "axes")
            name = f"{node.name}_axes"
            graph.initializer.append(numpy_helper.from_array(np.array(list(axes.ints)), name))
            node.attribute.remove(axes)
            node.input.append(name)


def _open_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]


def _dynamic(artifact: Artifact) -> Artifact:
    def opened(tensor):
        return dataclasses.replace(tensor, shape=("batch", *tensor.shape[1:]))

    rest = artifact.input.shape[1:]
    return dataclasses.replace(
        artifact,
        input=opened(artifact.input),
        outputs=tuple(opened(o) for o in artifact.outputs),
        profile=Profile((1, *rest), (2, *rest), (4, *rest)),
    )


def _artifact(tiny: ModuleType, file: str, lane: str, precision: str, dynamic: bool) -> Artifact:
    made = tiny._frames_artifact(file, precision, 1)
    bounds = ("8.5", "10") if lane == "weak" else ("10.0", None)
    made = dataclasses.replace(made, lane=lane, opset=17 if lane == "weak" else 19, tensorrt=bounds)
    return _dynamic(made) if dynamic else made


def _body(manifest: Manifest, precision: str, dynamic: bool) -> Artifact:
    made = next(a for a in manifest.artifacts if a.lane == "cache")
    made = dataclasses.replace(made, precision=precision)
    assert isinstance(made.input, Tensor)
    return _dynamic(made) if dynamic else made
