"""The student of latency_cpu.py, in the forms its peers take: a checkpoint, plain ONNX files, edgekit's bundle."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from edgekit.bundle.bundle import open_bundle
from edgekit.errors import EdgekitError
from edgekit.students.student import Student, load_student
from edgekit.tasks import Task


@dataclass(frozen=True)
class Models:
    """Where everything lies; ``mean`` and ``std`` of rgb, 0-255, for those who normalise by themselves."""

    student: Path
    plain: Path
    static: Path | None
    bundle: Path
    frames: Path
    task: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    about: str
    trouble: str | None = None


def make_models(source: Path | None, folder: Path, size: tuple[int, int], classes: int, count: int) -> Models:
    """``source``: a run's folder or a student's .pt; None: an untrained repseg, which takes as long as a trained one.

    ``count`` frames serve calibration and timing. EdgekitError where ``source`` is no student with a semantic task.
    """
    checkpoint = _checkpoint(source, folder, classes)
    student = load_student(checkpoint)
    task = next((t.name for t in student.tasks if t.classes), None)
    if task is None:
        raise EdgekitError("the student has no semantic task", where=str(checkpoint), fix="give a run that has one")
    frames = _frames(size, count)
    np.save(folder / "frames.npy", frames)
    photographs = folder / "photographs"
    photographs.mkdir()
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(photographs / f"{i:03}.png")
    bundle = _bundle(checkpoint, folder / "bundle", size, photographs)
    if hasattr(student.network, "fuse"):
        student.network.fuse()
    mean, std = (tuple(getattr(student, k).flatten().tolist()) for k in ("mean", "std"))
    plain = _plain(student, task, folder / "plain.onnx", size)
    static, trouble = _static(plain, folder / "static.onnx", frames, mean, std)
    name = open_bundle(bundle).manifest.student
    about = f"{name.name}, width {name.width}, {name.parameters:,} parameters"
    about += ", untrained" if source is None else f", {source.name}"
    return Models(checkpoint, plain, static, bundle, folder / "frames.npy", task, mean, std, about, trouble)


def _checkpoint(source: Path | None, folder: Path, classes: int) -> Path:
    if source is not None:
        return source / "student.pt" if source.is_dir() else source
    torch.manual_seed(0)
    task = Task("semantic", "semantic", classes=tuple(f"class {i}" for i in range(classes)))
    student = Student("repseg", [task])
    # Running statistics of one pass, so that activations have the sizes they have in a trained network.
    student.train()
    with torch.no_grad():
        student(torch.rand(2, 3, 128, 192) * 255)
    student.save(folder / "student.pt")
    return folder / "student.pt"


def _frames(size: tuple[int, int], count: int) -> np.ndarray:
    """(count, H, W, 3) uint8: noise at several scales, so that neighbours are alike as in photographs."""
    rng, (height, width) = np.random.default_rng(0), size
    frames = []
    for _ in range(count):
        total = np.zeros((height, width, 3), np.float32)
        for cells in (4, 16, 64, 256):
            coarse = rng.integers(0, 256, (cells * height // width + 1, cells, 3), dtype=np.uint8)
            total += np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)) / cells**0.5
        low, high = np.quantile(total, [0.01, 0.99])
        frames.append(np.clip((total - low) / (high - low) * 255, 0, 255).astype(np.uint8))
    return np.stack(frames)


def _bundle(checkpoint: Path, out: Path, size: tuple[int, int], photographs: Path) -> Path:
    argv = [sys.executable, "-m", "edgekit", "export", str(checkpoint), "--target", "cpu", "--out", str(out)]
    argv += ["--size", f"{size[0]}x{size[1]}", "--frames", str(photographs), "--golden", "synthetic"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EdgekitError(f"the bundle could not be exported: {done.stderr.strip() or done.stdout.strip()}")
    return out


class _Whole(nn.Module):
    """Standardised frames → logits at the frames' size, as most segmentation code defines its model."""

    def __init__(self, student: Student, task: str):
        super().__init__()
        self.network = student.network
        sizes = list(student.sizes)
        self.first = sum(student.sizes[name] for name in sizes[: sizes.index(task)])
        self.count = student.sizes[task]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.network(x)[:, self.first : self.first + self.count]
        return F.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)


def _plain(student: Student, task: str, path: Path, size: tuple[int, int]) -> Path:
    """``torch.onnx.export`` with its defaults."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        torch.onnx.export(_Whole(student, task).eval(), (torch.zeros(1, 3, *size),), str(path), verbose=False)
    return path


def _static(
    plain: Path, path: Path, frames: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[Path | None, str | None]:
    """onnxruntime's ``quantize_static`` with its defaults; (None, why) where it fails."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    name = onnx.load(plain).graph.input[0].name
    shift, scale = (np.asarray(v, np.float32) for v in (mean, std))

    class Reader(CalibrationDataReader):
        def __init__(self):
            self._left = iter(frames)

        def get_next(self):
            frame = next(self._left, None)
            return (
                None if frame is None else {name: ((frame - shift) / scale).transpose(2, 0, 1)[None].astype(np.float32)}
            )

    logging.getLogger().setLevel(logging.ERROR)
    try:
        quantize_static(str(plain), str(path), Reader())
    except Exception as error:  # whatever a release of it raises
        return None, f"{type(error).__name__}: {error}".partition("\n")[0]
    return path, None
