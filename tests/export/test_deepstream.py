"""The files for DeepStream's nvinfer: every key is documented and agrees with the graph, and its decision is ours."""

from __future__ import annotations

import configparser

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from edgekit.bundle.manifest import Preprocessing
from edgekit.compile.compiler import compile_model, is_there
from edgekit.errors import EdgekitError
from edgekit.export.body import bodies
from edgekit.export.deepstream import deepstream_files, deepstream_graphs
from edgekit.graphs.read import tensor_shape

SIZE = (48, 64)

# Of the group [property], in Gst-nvinfer's header of configuration keys (gstnvinfer_property_parser.h)
DOCUMENTED = """
    gie-unique-id process-mode interval labelfile-path gpu-id secondary-reinfer-interval output-tensor-meta enable-dla
    use-dla-core batch-size tensor-meta-pool-size network-mode model-engine-file int8-calib-file workspace-size
    output-blob-names is-classifier network-type force-implicit-batch-dim infer-dims output-io-formats
    layer-device-precision model-color-format net-scale-factor offsets mean-file maintain-aspect-ratio symmetric-padding
    scaling-filter scaling-compute-hw network-input-order input-tensor-from-meta custom-lib-path onnx-file
    num-detected-classes cluster-mode segmentation-threshold segmentation-output-order output-instance-mask
"""


@pytest.fixture(scope="module")
def student(student_of):
    return student_of("repseg")


@pytest.fixture(scope="module")
def body(student):
    return bodies(student, SIZE, (17,))[17]


def preprocessing(student, fit="stretch", **more) -> Preprocessing:
    mean, std = (tuple(t.flatten().tolist()) for t in (student.mean, student.std))
    return Preprocessing(SIZE, fit, tuple(round(m) for m in mean), mean, std, **more)


@pytest.fixture(scope="module")
def files(student, body):
    contract = preprocessing(student)
    graphs = deepstream_graphs(body, student.tasks, contract, student.network.stride)
    return deepstream_files(graphs, student.tasks, contract)


def keys(text: bytes) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(text.decode())
    assert parser.sections() == ["property"]
    return dict(parser["property"])


def decided(maps: np.ndarray, threshold: float) -> np.ndarray:
    """What nvinfer's SegmentPostprocessor makes of (C, h, w): the first class above the threshold and all before it."""
    found, most = np.full(maps.shape[1:], -1), np.full(maps.shape[1:], -1.0)
    for number, plane in enumerate(maps):
        better = (plane > most) & (plane > threshold)
        found[better], most[better] = number, plane[better]
    return found


def test_every_key_is_documented_and_agrees_with_the_graph(student, files):
    found = keys(files["deepstream/segmentation.txt"])
    assert set(found) <= set(DOCUMENTED.split())
    graph = onnx.load_from_string(files[f"deepstream/{found['onnx-file']}"]).graph
    labels = files[f"deepstream/{found['labelfile-path']}"].decode().splitlines()
    (task,) = [task for task in student.tasks if task.kind == "semantic"]
    assert labels == list(task.classes)
    (given,), (output,) = graph.input, graph.output
    assert given.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert [str(side) for side in tensor_shape(given)] == [found["batch-size"], *found["infer-dims"].split(";")]
    assert output.name == found["output-blob-names"]
    assert str(tensor_shape(output)[1]) == found["num-detected-classes"] == str(len(labels))
    # float planes of 0 to 255 in rgb (0), NCHW (0) in and out; semantic segmentation (2); FP16 (2)
    assert "offsets" not in found and float(found["net-scale-factor"]) == 1.0
    assert (found["model-color-format"], found["network-input-order"], found["segmentation-output-order"]) == ("0",) * 3
    assert (found["network-type"], found["network-mode"]) == ("2", "2")


def test_nvinfers_decision_is_the_students(student, files):
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, *SIZE)).astype(np.float32)
    with torch.no_grad():
        logits = student(torch.from_numpy(pixels))["semantic"][0].numpy()
    session = onnxruntime.InferenceSession(files["deepstream/segmentation.onnx"], providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"frames": pixels})
    threshold = float(keys(files["deepstream/segmentation.txt"])["segmentation-threshold"])
    wanted = logits.argmax(0)
    assert (decided(found[0], threshold) == wanted).mean() > 0.999
    # why it is not given logits: where none is positive, no class is found
    assert (decided(logits - logits.max() - 1, threshold) == -1).all()


def test_how_frames_are_placed(student, body):
    def configuration(contract):
        graphs = deepstream_graphs(body, student.tasks, contract, student.network.stride)
        return keys(deepstream_files(graphs, student.tasks, contract)["deepstream/segmentation.txt"])

    assert configuration(preprocessing(student))["maintain-aspect-ratio"] == "0"
    letterbox = configuration(preprocessing(student, "letterbox"))
    assert (letterbox["maintain-aspect-ratio"], letterbox["symmetric-padding"]) == ("1", "0")
    with pytest.raises(EdgekitError, match="frames are to fill") as caught:
        configuration(preprocessing(student, "letterbox", content=(40, 60)))
    assert "stretch" in caught.value.fix


def test_a_student_without_classes(student, body):
    tasks = [task for task in student.tasks if task.kind != "semantic"]
    with pytest.raises(EdgekitError, match="gives classes"):
        deepstream_graphs(body, tasks, preprocessing(student), student.network.stride)


@pytest.mark.skipif(not is_there(), reason="TensorRT for RTX is not installed")
def test_nvidias_compiler_takes_the_graph(files):
    assert compile_model(files["deepstream/segmentation.onnx"], "segmentation.onnx").taken
