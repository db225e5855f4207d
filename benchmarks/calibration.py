"""INT8 calibration beside onnxruntime's and ModelOpt's: time, peak memory, and the accuracy of what comes out.

python benchmarks/calibration.py RUN [--frames 128] [--few 16] [--size 544x960] [--peers edgekit,onnxruntime,modelopt]
    [--modelopt-python VENV/bin/python] [--work DIR] [--score-frames N] [--write] [--json]

RUN is a finished run; by default the latest one of the uav recipe under runs/. Each row calibrates and writes its INT8
file in a process of its own: once with --frames and once with --few frames at --size, for time and memory, and once
with --frames frames at the network's own size, whose file is then scored on the evaluated split in onnxruntime. What is
in --work is not done again, so that an interrupted benchmark goes on where it was. --write puts the section into
RESULTS.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from results import provenance, table, write_section

Logits = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Standardised (1, 3, H, W) → output name → logits."""

HERE = Path(__file__).parent
TITLE = "calibration"


@dataclass(frozen=True)
class Row:
    """One method of one peer, by the names that calibration_peers.py knows."""

    peer: str
    method: str
    label: str


ROWS = (
    Row("edgekit", "entropy", "edgekit entropy"),
    Row("edgekit", "minmax", "edgekit min–max"),
    Row("edgekit", "percentile", "edgekit percentile 99.99"),
    Row("edgekit", "mse", "edgekit MSE"),
    Row("onnxruntime", "Entropy", "onnxruntime Entropy"),
    Row("onnxruntime", "MinMax", "onnxruntime MinMax"),
    Row("onnxruntime", "Percentile", "onnxruntime Percentile"),
    Row("modelopt", "entropy", "ModelOpt entropy"),
    Row("modelopt", "max", "ModelOpt max"),
)


class Subject:
    """A run's student and its frames, at any size."""

    def __init__(self, run: Path, work: Path):
        from edgekit.pipeline.run import Run
        from edgekit.quantize.frames import spread
        from edgekit.students.student import load_student

        opened = Run.open(run)
        self.name, self.work = run.name, work
        self.bench = opened.bench()
        self.student = load_student(run / "student.pt")
        self.split = opened.recipe.evaluate.split
        self.train = self.bench.frames.frames("train")
        self.spread = spread
        height, width = self._read(self.train[0]).shape[:2]
        scale = self.student.input_scale
        self.seen = max(1, round(height * scale)), max(1, round(width * scale))
        self.native = tuple(-(-side // 16) * 16 for side in self.seen)
        self.mean, self.std = (b.flatten().tolist() for b in (self.student.mean, self.student.std))

    def parameters(self) -> int:
        from edgekit.export.fuse import fused
        from edgekit.networks import parameter_count

        return parameter_count(fused(self.student))

    def _read(self, info: Any) -> np.ndarray:
        return self.bench.frames.read(info, ["rgb"])["rgb"]

    def model(self, size: tuple[int, int]) -> Path:
        """The student's body with inferred shapes, as every peer gets it."""
        import onnx

        from edgekit.export.body import body

        path = self.work / f"body-{size[0]}x{size[1]}.onnx"
        if not path.exists():
            onnx.save(onnx.shape_inference.infer_shapes(body(self.student, size)), path)
        return path

    def frames(self, count: int, size: tuple[int, int]) -> tuple[Path, int]:
        """A file of ``count`` frames of train, stretched to ``size``; frames come again where there are too few."""
        import cv2

        chosen = self.spread(self.train, count)
        path = self.work / f"frames-{count}-{size[0]}x{size[1]}.u8"
        if not path.exists():
            part = path.with_suffix(".part")
            with open(part, "wb") as file:
                for index in range(count):
                    rgb = self._read(chosen[index % len(chosen)])
                    file.write(cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA).tobytes())
            os.replace(part, path)
        return path, len(chosen)

    def scores(self, logits: Logits, most: int | None) -> dict[str, Any]:
        """Scores on the evaluated split of a body's logits, decoded as the student's are."""
        import torch

        from edgekit.data.source import spread_out
        from edgekit.evaluate.score import native_maps, score
        from edgekit.pipeline.targets import encode_inputs

        stride = self.student.network.stride
        infos = self.bench.frames.frames(self.split)
        infos = spread_out(infos, most) if most else infos

        def forward(rgb: torch.Tensor) -> dict[str, torch.Tensor]:
            x = ((rgb - self.student.mean) / self.student.std).numpy()
            height, width = x.shape[-2:]
            padded = np.zeros((*x.shape[:2], *self.native), np.float32)
            padded[..., :height, :width] = x
            cut = np.s_[..., : -(-height // stride), : -(-width // stride)]
            return {
                name.removesuffix("_logits"): torch.from_numpy(np.ascontiguousarray(values[cut], np.float32))
                for name, values in logits(padded).items()
            }

        self.student.forward = forward  # what resizes, activates and zooms around it stays

        def predict(frame: Any, size: tuple[int, int]) -> dict[str, np.ndarray]:
            rgb = encode_inputs(self.bench.frames, frame, ["rgb"])["rgb"]
            return native_maps(self.bench.tasks, self.student.predict(rgb, size))

        found = score(predict, self.bench.frames, infos, self.bench.tasks, sequential=False)
        del self.student.forward
        return found

    def fidelity(self, logits: Logits, most: int = 40) -> float:
        """Signal to quantization noise of the logits, dB, over the evaluated split: steadier than mIoU."""
        import cv2

        from edgekit.data.source import spread_out

        exact, noise, signal = runner(self.model(self.native)), 0.0, 0.0
        for info in spread_out(self.bench.frames.frames(self.split), most):
            rgb = cv2.resize(self._read(info), self.native[::-1], interpolation=cv2.INTER_AREA)
            x = ((rgb - np.float32(self.mean)) / np.float32(self.std)).transpose(2, 0, 1)[None]
            x = np.ascontiguousarray(x, np.float32)
            said = logits(x)
            for name, truth in exact(x).items():
                variance = truth.var(axis=(0, 2, 3)).mean()
                noise += float(np.square(said[name] - truth).mean() / variance)
                signal += 1.0
        return float(10 * np.log10(signal / noise))


def calibrated(subject: Subject, row: Row, count: int, size: tuple[int, int], python: str) -> dict[str, Any]:
    """What calibration_peers.py says of it, with the INT8 file's path, or {"error"}; from ``work`` if it is done."""
    out = subject.work / f"{row.peer}-{row.method}-{count}-{size[0]}x{size[1]}.onnx"
    done = out.with_suffix(".json")
    if done.exists():
        return json.loads(done.read_text())
    frames, _ = subject.frames(count, size)
    task = {
        "peer": row.peer,
        "method": row.method,
        "model": str(subject.model(size)),
        "out": str(out),
        "frames": str(frames),
        "count": count,
        "size": size,
        "mean": subject.mean,
        "std": subject.std,
    }
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)} if row.peer == "edgekit" else dict(os.environ)
    if row.peer != "edgekit":
        environment.pop("PYTHONPATH", None)
    ended = subprocess.run(
        [python, str(HERE / "calibration_peers.py"), json.dumps(task)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=subject.work,
        check=False,
    )
    if ended.returncode:
        why = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
        return {"error": why[:300]}
    result = {**json.loads(ended.stdout), "file": str(out)}
    done.write_text(json.dumps(result))
    return result


def runner(path: Path) -> Logits:
    import onnx

    from edgekit.graphs.execute import Runner

    return Runner(onnx.load(path), threads=os.cpu_count() or 1)


def measure(subject: Subject, row: Row, given: argparse.Namespace, python: str) -> dict[str, Any]:
    result: dict[str, Any] = {"label": row.label, "peer": row.peer, "method": row.method}
    for key, count, size in (
        ("many", given.frames, given.size),
        ("few", given.few, given.size),
        ("native", given.frames, subject.native),
    ):
        print(f"{row.label}: {count} frames of {size[0]}x{size[1]}", file=sys.stderr, flush=True)
        result[key] = calibrated(subject, row, count, size, python)
        if "error" in result[key]:
            return {**result, "error": result[key]["error"]}
    made = Path(result["native"]["file"])
    cache = made.with_suffix(f".scores-{given.score_frames or 'all'}.json")
    if not cache.exists():
        logits = runner(made)
        said = {"scores": subject.scores(logits, given.score_frames), "sqnr": subject.fidelity(logits)}
        cache.write_text(json.dumps(said))
    return {**result, **json.loads(cache.read_text())}


def primary_metrics(subject: Subject, scores: dict[str, Any]) -> list[str]:
    """One cell per task: its primary metric."""
    from edgekit.tasks import kind_of

    cells = []
    for task in subject.bench.tasks:
        value = scores[task.name][kind_of(task).primary.name]
        shown = (
            "–" if value is None else f"{100 * value:.2f}" if kind_of(task).primary.higher_is_better else f"{value:.4f}"
        )
        cells.append(shown)
    return cells


def report(subject: Subject, found: list[dict[str, Any]], reference: dict[str, Any], given: argparse.Namespace) -> str:
    from edgekit.tasks import kind_of

    size, native = (f"{h}×{w}" for h, w in (given.size, subject.native))
    metrics = [
        f"{t.name} {kind_of(t).primary.name}{' %' if kind_of(t).primary.higher_is_better else ''}"
        for t in subject.bench.tasks
    ]
    header = [
        "",
        f"{given.frames} frames, s",
        f"peak MiB, {given.few}",
        f"peak MiB, {given.frames}",
        "CPU s",
        "SQNR dB",
        *metrics,
    ]
    rows = [["fp32", "", "", "", "", "", *primary_metrics(subject, reference)]]
    failed = []
    for one in found:
        if "error" in one:
            failed.append(f"{one['label']} could not be run: {one['error']}")
            continue
        many, few = one["many"], one["few"]
        rows.append(
            [
                one["label"],
                f"{many['seconds']:.1f}",
                f"{few['peak_mib']:.0f}",
                f"{many['peak_mib']:.0f}",
                f"{many['cpu_seconds']:.1f}",
                f"{one['sqnr']:.1f}",
                *primary_metrics(subject, one["scores"]),
            ]
        )
    packages = {f"{o['peer']}: {n} {v}" for o in found if "many" in o for n, v in o["many"].get("versions", {}).items()}
    distinct = subject.frames(given.frames, given.size)[1]
    scored = given.score_frames or "all"
    notes = [
        f"Student {subject.student.name} of {subject.name}, {subject.parameters():,} parameters as it is flown. "
        f"Time and memory: calibrating and writing the file, from frames of {size}, each in a process of its own, "
        f"imports not timed ({distinct} distinct frames of train, stretched). Accuracy: calibrated with "
        f"{given.frames} frames of {native}, the network's own size, scored in onnxruntime on {scored} frames of "
        f"{subject.split}; SQNR: of the logits, against fp32.",
        "Peers: " + "; ".join(sorted(packages)) + ".",
        *failed,
    ]
    return "\n\n".join([provenance(("onnx", "onnxruntime")), table(header, rows), *notes, compared(found, given)])


def compared(found: list[dict[str, Any]], given: argparse.Namespace) -> str:
    """How edgekit's default compares with onnxruntime's method of the same name."""
    known = {(o["peer"], o["method"]): o for o in found if "error" not in o}
    ours, theirs = known.get(("edgekit", "entropy")), known.get(("onnxruntime", "Entropy"))
    if not ours or not theirs:
        return ""
    grew = [f"{one['many']['peak_mib'] / one['few']['peak_mib']:.2f}-fold" for one in (ours, theirs)]
    faster = theirs["many"]["seconds"] / ours["many"]["seconds"]
    return (
        f"Entropy: edgekit was {faster:.1f} times as fast as onnxruntime; from {given.few} to {given.frames} frames "
        f"its peak memory grew {grew[0]}, onnxruntime's {grew[1]}."
    )


def latest_run() -> Path:
    runs = [p.parent for p in Path("runs").glob("uav-*/student.pt")]
    if not runs:
        sys.exit("no finished uav run under runs/: run `edgekit distill recipes/uav.yaml`, or name another run")
    return max(runs, key=lambda p: p.stat().st_mtime)


def parse() -> argparse.Namespace:
    def size(text: str) -> tuple[int, int]:
        height, width = text.lower().split("x")
        return int(height), int(width)

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", help="a finished run (default: the latest uav run under runs/)")
    parser.add_argument("--frames", type=int, default=128, help="calibration frames (default 128)")
    parser.add_argument("--few", type=int, default=16, help="frames of the memory comparison (default 16)")
    parser.add_argument("--size", type=size, default=(544, 960), help="HxW, for time and memory (default 544x960)")
    parser.add_argument("--peers", default="edgekit,onnxruntime,modelopt", help="which to run, by comma")
    parser.add_argument("--modelopt-python", default=sys.executable, help="the Python that has nvidia-modelopt")
    parser.add_argument("--work", type=Path, default=None, help="where files are kept (default runs/calibration-…)")
    parser.add_argument("--score-frames", type=int, default=None, help="most frames to score (default: all)")
    parser.add_argument("--write", action="store_true", help=f"put the section '{TITLE}' into RESULTS.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of Markdown")
    return parser.parse_args()


def main() -> None:
    given = parse()
    run = given.run or latest_run()
    key = hashlib.sha256((run / "student.pt").read_bytes()).hexdigest()[:10]
    work = (given.work or run.parent / f"calibration-{key}").resolve()
    work.mkdir(parents=True, exist_ok=True)
    subject = Subject(run, work)
    pythons = {"modelopt": given.modelopt_python}
    peers = given.peers.split(",")
    reference = subject.scores(runner(subject.model(subject.native)), given.score_frames)
    found = [measure(subject, r, given, pythons.get(r.peer, sys.executable)) for r in ROWS if r.peer in peers]
    if given.json:
        print(json.dumps({"fp32": reference, "rows": found}, indent=1))
        return
    text = report(subject, found, reference, given)
    print(f"## {TITLE}\n\n{text}")
    if given.write:
        write_section(TITLE, text)


if __name__ == "__main__":
    main()
