"""One way to run a student on a CPU, in a process of its own: what latency_cpu.py compares.

A peer turns a frame (H, W, 3) uint8 into a class map (H, W) uint8. This file needs numpy and what its peer imports, so
that a peer can live in another environment. It speaks lines: first it says what it is, then it answers "run N" with the
times of N frames.

    python benchmarks/latency_peers.py '{"peer": "onnxruntime", "model": "student.onnx", …}'
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

MOST_FRAMES = 8  # that are timed; those for calibration may be many more
Infer = Callable[[np.ndarray], np.ndarray]


def edgekit_bundle(job: dict) -> tuple[Infer, str]:
    """edgekit's bundle: the only peer whose graph takes and gives uint8."""
    import edgekit

    predictor = edgekit.load(job["bundle"], precision=job["precision"], threads=job["threads"], outputs=[job["task"]])
    return lambda frame: predictor.infer(frame)[job["task"]], predictor.describe()["runtime"]


def torch_eager(job: dict) -> tuple[Infer, str]:
    """The module itself: normalisation, logits brought to the frame's size, argmax, all in torch."""
    import torch
    import torch.nn.functional as F

    from edgekit.students.student import load_student

    torch.set_num_threads(job["threads"])
    student = load_student(Path(job["student"]))
    if hasattr(student.network, "fuse"):
        student.network.fuse()
    student = student.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def infer(frame: np.ndarray) -> np.ndarray:
        rgb = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
        logits = student(rgb.contiguous(memory_format=torch.channels_last))[job["task"]]
        logits = F.interpolate(logits, size=frame.shape[:2], mode="bilinear", align_corners=False)
        return logits.argmax(1)[0].to(torch.uint8).numpy()

    return infer, f"torch {torch.__version__}"


def _around(job: dict, run: Callable[[np.ndarray], np.ndarray]) -> Infer:
    """Normalisation before and argmax at full resolution after a plain graph, in numpy."""
    mean, std = (np.asarray(job[key], np.float32) for key in ("mean", "std"))

    def infer(frame: np.ndarray) -> np.ndarray:
        standardised = (frame.astype(np.float32) - mean) / std
        logits = run(np.ascontiguousarray(standardised.transpose(2, 0, 1)[None]))
        return logits[0].argmax(0).astype(np.uint8)

    return infer


def onnxruntime_plain(job: dict) -> tuple[Infer, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return _around(job, lambda x: session.run(None, {name: x})[0]), f"onnxruntime {onnxruntime.__version__}"


def _compiled(job: dict, model):
    """An OpenVINO request for latency with the given number of threads, and its version."""
    import openvino

    # fp32 stays fp32: where a CPU has bf16, OpenVINO would take it by itself.
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": job["threads"], "INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(model, "CPU", config).create_infer_request()

    def run(feed: np.ndarray) -> np.ndarray:
        request.infer([feed], share_inputs=True)
        return request.get_output_tensor(0).data

    return run, f"openvino {openvino.__version__.partition('-')[0]}"


def openvino_plain(job: dict) -> tuple[Infer, str]:
    import openvino

    run, version = _compiled(job, openvino.Core().read_model(job["model"]))
    return _around(job, run), version


def openvino_int8(job: dict) -> tuple[Infer, str]:
    """NNCF's post-training quantization with its defaults, of the same plain graph on the same frames."""
    import nncf
    import openvino

    mean, std = (np.asarray(job[key], np.float32) for key in ("mean", "std"))
    frames = [
        ((f.astype(np.float32) - mean) / std).transpose(2, 0, 1)[None] for f in np.load(job["frames"], mmap_mode="r")
    ]
    model = nncf.quantize(openvino.Core().read_model(job["model"]), nncf.Dataset(frames), subset_size=len(frames))
    run, version = _compiled(job, model)
    return _around(job, run), f"{version}, nncf {nncf.__version__}"


def openvino_on_ours(job: dict) -> tuple[Infer, str]:
    """edgekit's own file: uint8 frame in, class map out."""
    import openvino

    model = openvino.Core().read_model(job["model"])
    kept = [output for output in model.outputs if job["output"] in output.get_names()]
    model = openvino.Model([output.get_node() for output in kept], model.get_parameters())
    run, version = _compiled(job, model)
    return lambda frame: run(frame[None])[0].copy(), version


PEERS = {
    "edgekit": edgekit_bundle,
    "torch": torch_eager,
    "onnxruntime": onnxruntime_plain,
    "openvino": openvino_plain,
    "openvino-int8": openvino_int8,
    "openvino-ours": openvino_on_ours,
}


def main() -> None:
    job = json.loads(sys.argv[1])
    frames = np.load(job["frames"], mmap_mode="r")[:MOST_FRAMES].copy()
    talk, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not be taken for an answer
    infer, version = PEERS[job["peer"]](job)
    np.save(job["answers"], np.stack([infer(frame) for frame in frames]))
    print(json.dumps({"version": version}), file=talk, flush=True)
    done = 0
    for line in sys.stdin:
        taken = []
        for _ in range(int(line.split()[1])):
            frame = frames[done % len(frames)]
            began = time.perf_counter()
            infer(frame)
            taken.append(1000 * (time.perf_counter() - began))
            done += 1
        print(json.dumps({"ms": taken}), file=talk, flush=True)


if __name__ == "__main__":
    main()
