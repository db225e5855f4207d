"""What DeepStream's ``nvinfer`` takes for a segmentation: a graph, a configuration and labels. Not run in DeepStream.

The keys are those of Gst-nvinfer's documentation, read for DeepStream 5 to 8. Its decision over classes passes over
values that are not above ``segmentation-threshold``, and takes no threshold below 0: of logits, pixels whose largest is
negative would get no class. So the graph gives probabilities. It standardises by itself, for nvinfer has one
``net-scale-factor`` for all channels, and students have a deviation for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from edgekit.bundle.manifest import Preprocessing
from edgekit.errors import EdgekitError
from edgekit.export.deploy import Deployed, deploy
from edgekit.tasks import Task, kind_of

FOLDER = "deepstream"
FORM = "probabilities"


def deepstream_graphs(
    body: onnx.ModelProto, tasks: Sequence[Task], preprocessing: Preprocessing, stride: int
) -> dict[str, Deployed]:
    """Task → its graph, of fixed size: ``frames`` (1, 3, H, W) float rgb 0-255 in, probabilities of its classes out.

    EdgekitError for students without a task of classes, and where nvinfer cannot place frames as the student needs it.
    """
    classes = [task for task in tasks if task.classes and FORM in kind_of(task).form_names]
    if not classes:
        raise EdgekitError("no task of the student gives classes", where="--deepstream", fix="leave --deepstream out")
    if [task.name for task in preprocessing.modalities] != ["rgb"]:
        raise EdgekitError(
            f"nvinfer gives a network rgb alone; this one sees {', '.join(t.name for t in preprocessing.modalities)}",
            where="--deepstream",
            fix="leave --deepstream out",
        )
    if preprocessing.content:
        raise EdgekitError(
            f"nvinfer fills the network's input; frames are to fill {preprocessing.content} of {preprocessing.size}",
            where="--deepstream",
            fix="export with --set export.fit=stretch",
        )
    return {
        task.name: deploy(body, [task], {task.name: (FORM,)}, preprocessing, stride, planes=True) for task in classes
    }


def deepstream_files(
    graphs: dict[str, Deployed], tasks: Sequence[Task], preprocessing: Preprocessing
) -> dict[str, bytes]:
    """The files of the bundle, by name."""
    named = {task.name: task for task in tasks}
    files = {}
    for number, (name, graph) in enumerate(graphs.items(), 1):
        stem = "segmentation" if len(graphs) == 1 else f"segmentation{number}"
        labels = [" ".join(label.split()) for label in named[name].classes]
        files[f"{FOLDER}/{stem}.onnx"] = graph.model.SerializeToString()
        files[f"{FOLDER}/{stem}.labels.txt"] = "".join(f"{label}\n" for label in labels).encode()
        files[f"{FOLDER}/{stem}.txt"] = _configuration(stem, number, graph, len(labels), preprocessing).encode()
    return files


def _configuration(stem: str, number: int, graph: Deployed, classes: int, preprocessing: Preprocessing) -> str:
    height, width = preprocessing.size
    (output,) = graph.outputs
    letterbox = preprocessing.fit == "letterbox"
    keys = {
        "gpu-id": 0,
        "gie-unique-id": number,
        "process-mode": 1,
        "onnx-file": f"{stem}.onnx",
        "model-engine-file": f"{stem}.onnx_b1_gpu0_fp16.engine",
        "labelfile-path": f"{stem}.labels.txt",
        "batch-size": 1,
        "network-mode": 2,
        "network-type": 2,
        "num-detected-classes": classes,
        "infer-dims": f"3;{height};{width}",
        "model-color-format": 0,
        "net-scale-factor": "1.0",
        "network-input-order": 0,
        "maintain-aspect-ratio": int(letterbox),
        "symmetric-padding": 0,
        "scaling-filter": 1,
        "output-blob-names": output.name,
        "segmentation-threshold": "0.0",
        "segmentation-output-order": 0,
        "interval": 0,
    }
    about = _LETTERBOX if letterbox else ""
    return _HEAD + about + "\n[property]\n" + "".join(f"{key}={value}\n" for key, value in keys.items())


_HEAD = """\
# For Gst-nvinfer of DeepStream, with TensorRT up to 10: network-mode=2 asks for FP16. nvinfer builds the engine when it
# first runs. Written from NVIDIA's documentation; not run in DeepStream yet.
# The graph takes rgb of 0 to 255 and standardises it; it gives a probability per class and pixel.
"""
_LETTERBOX = """\
# Frames of another shape than the network's are padded with black here, and by edgekit with the mean colour; smaller
# ones are enlarged here, and by edgekit not.
"""
