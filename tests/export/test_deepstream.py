"""Files for DeepStream's nvinfer: the configuration key by key, and the graph beside a calculation by hand."""

from __future__ import annotations

import configparser

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.bundle.manifest import Preprocessing
from edgekit.errors import EdgekitError
from edgekit.export.deepstream import deepstream_files, deepstream_graphs
from edgekit.tasks import Task

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
CLASSES = Task("semantic", "semantic", classes=("road", "two\nlines"), colours=((0, 0, 0), (9, 9, 9)))
DEPTH = Task("depth", "depth", range=(0.0, 1.0))
WEIGHTS = np.float32([[1.0, -2.0, 0.5], [0.25, 1.5, -1.0]])


def body(height: int = 8, width: int = 16, stride: int = 4):
    """A convolution of one pixel in each block of ``stride``: its logits are easy to work out."""
    kernel = np.zeros((2, 3, stride, stride), np.float32)
    kernel[:, :, 0, 0] = WEIGHTS
    node = helper.make_node("Conv", ["input", "w"], ["semantic_logits"], name="conv", strides=[stride, stride])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, height, width))],
        [
            helper.make_tensor_value_info(
                "semantic_logits", TensorProto.FLOAT, (1, 2, height // stride, width // stride)
            )
        ],
        [numpy_helper.from_array(kernel, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def preprocessing(**changes) -> Preprocessing:
    return Preprocessing(
        **{"size": (8, 16), "mean": MEAN, "std": STD, "pad": (120, 110, 100), "fit": "stretch", **changes}
    )


def configuration(text: bytes) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text.decode())
    assert parser.sections() == ["property"]
    return dict(parser["property"])


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_the_configuration_says_what_the_graph_is(fit):
    graphs = deepstream_graphs(body(), [CLASSES], preprocessing(fit=fit), 4)
    files = deepstream_files(graphs, [CLASSES], preprocessing(fit=fit))
    assert set(files) == {f"deepstream/segmentation{end}" for end in (".onnx", ".txt", ".labels.txt")}
    keys = configuration(files["deepstream/segmentation.txt"])
    model = onnx.load_model_from_string(files["deepstream/segmentation.onnx"])
    (given,), (output,) = model.graph.input, model.graph.output
    sides = [d.dim_value for d in given.type.tensor_type.shape.dim]
    assert sides == [1, 3, 8, 16] and given.type.tensor_type.elem_type == TensorProto.FLOAT
    # Every key, by Gst-nvinfer's documentation: a key too many or a misspelt one is refused or passed over there.
    assert keys == {
        **{
            "gpu-id": "0",
            "gie-unique-id": "1",
            "process-mode": "1",
            "interval": "0",
            "batch-size": "1",
        },  # 1: whole frames
        **{"onnx-file": "segmentation.onnx", "labelfile-path": "segmentation.labels.txt"},
        "model-engine-file": "segmentation.onnx_b1_gpu0_fp16.engine",  # the name that nvinfer gives what it builds
        **{"network-type": "2", "network-mode": "2"},  # segmentation, FP16
        **{"infer-dims": "3;8;16", "network-input-order": "0", "model-color-format": "0"},  # planes of rgb
        "net-scale-factor": "1.0",  # and no offsets: the graph standardises
        **{"maintain-aspect-ratio": str(int(fit == "letterbox")), "symmetric-padding": "0", "scaling-filter": "1"},
        **{"output-blob-names": output.name, "num-detected-classes": "2"},
        **{"segmentation-threshold": "0.0", "segmentation-output-order": "0"},  # above it, of probabilities; planes
    }
    assert files["deepstream/segmentation.labels.txt"].decode().splitlines() == ["road", "two lines"]


def test_the_graph_gives_the_probabilities_of_its_logits():
    """At stride 1, so that nothing is enlarged."""
    (graph,) = deepstream_graphs(body(stride=1), [CLASSES], preprocessing(), 1).values()
    frame = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 16)).astype(np.float32)
    session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"frames": frame})
    standard = (frame - np.float32(MEAN)[:, None, None]) / np.float32(STD)[:, None, None]
    logits = np.einsum("kc,nchw->nkhw", WEIGHTS, standard)
    exact = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert exact.min() < 0.1, "both classes are decided for somewhere"
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-6)


def test_two_tasks_get_a_configuration_each():
    other = Task("roofs", "semantic", classes=("no", "yes"), colours=((0, 0, 0), (9, 9, 9)))
    model = body()
    model.graph.node.append(helper.make_node("Neg", ["semantic_logits"], ["roofs_logits"], name="neg"))
    model.graph.output.append(helper.make_tensor_value_info("roofs_logits", TensorProto.FLOAT, (1, 2, 2, 4)))
    tasks = [CLASSES, other]
    files = deepstream_files(deepstream_graphs(model, tasks, preprocessing(), 4), tasks, preprocessing())
    first, second = (configuration(files[f"deepstream/segmentation{i}.txt"]) for i in (1, 2))
    assert (first["gie-unique-id"], second["gie-unique-id"]) == ("1", "2")
    assert first["output-blob-names"] != second["output-blob-names"]


def test_what_nvinfer_cannot_do_is_refused():
    with pytest.raises(EdgekitError, match="no task of the student gives classes") as caught:
        deepstream_graphs(body(), [DEPTH], preprocessing(), 4)
    assert caught.value.where == "--deepstream" and caught.value.fix
    with pytest.raises(EdgekitError, match="nvinfer fills the network's input"):
        deepstream_graphs(body(), [CLASSES], preprocessing(content=(4, 16)), 4)
