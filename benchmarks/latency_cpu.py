"""edgekit's INT8 bundle on a CPU, end to end, beside what one would otherwise do with the same student.

    python benchmarks/latency_cpu.py [RUN|STUDENT.pt] [--peer-python openvino=ENV/bin/python] [--quick] [--write]

Every peer turns the same uint8 frames into class maps at the frames' size, in a process of its own with the same number
of threads, and with the same fused network: what differs is what is done with it. Peers take turns, a few frames each,
in an order that moves on every round, so that a machine that slows down slows all of them. An environment for OpenVINO:
``python -m venv ENV && ENV/bin/pip install openvino nncf``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from latency_models import Models, make_models
from results import command_line, provenance, table, write_section

from edgekit.bench.statistics import summarise
from edgekit.bundle.bundle import open_bundle
from edgekit.errors import EdgekitError
from edgekit.frames.sizes import parse_size

SECTION = "Latency on a CPU"
WORKER = Path(__file__).parent / "latency_peers.py"
OURS = "edgekit int8"
GROUPS = ("openvino", "onnxruntime", "torch", "edgekit")
LEVEL = 0.03  # closer than that, the order may be another the next time
FASTER = {"torch.onnx.export fp32": 3.0, "quantize_static": 1.0}
"""The goals: peer → how many times faster edgekit's INT8 bundle is to be."""


@dataclass
class Peer:
    """``group``: whose environment it runs in; ``trouble``: why it could not run."""

    name: str
    about: str
    group: str
    job: dict
    version: str = ""
    trouble: str | None = None
    answers: np.ndarray | None = None
    rounds: list[list[float]] = field(default_factory=list)

    @property
    def ms(self) -> list[float]:
        return [value for taken in self.rounds for value in taken]


def peers_of(models: Models, threads: int) -> list[Peer]:
    bundle = open_bundle(models.bundle)
    files = {p: bundle.artifact("onnxruntime", p) for p in ("int8", "fp32")}
    output = {
        p: next(o.name for o in a.outputs if o.task == models.task and o.form == "classes") for p, a in files.items()
    }
    plain = {"model": str(models.plain), "mean": models.mean, "std": models.std}
    ours = {
        p: {"peer": "openvino-ours", "model": str(bundle.path(a.file)), "output": output[p]} for p, a in files.items()
    }
    kit = {"peer": "edgekit", "bundle": str(models.bundle), "task": models.task}
    eager = {"peer": "torch", "student": str(models.student), "task": models.task}
    around = "numpy normalises and takes the argmax at full resolution"
    found = [
        Peer(OURS, "the bundle: uint8 in, class map out", "edgekit", {**kit, "precision": "int8"}),
        Peer("edgekit fp32", "the same bundle's fp32 file", "edgekit", {**kit, "precision": "fp32"}),
        Peer("torch eager", "the module, channels last", "torch", eager),
        Peer("torch.onnx.export fp32", f"onnxruntime; {around}", "onnxruntime", {"peer": "onnxruntime", **plain}),
        Peer(
            "quantize_static",
            "onnxruntime's INT8 of that file, by its defaults",
            "onnxruntime",
            {"peer": "onnxruntime", **plain, "model": str(models.static)},
            trouble=models.trouble,
        ),
        Peer("OpenVINO fp32", "of the plain file", "openvino", {"peer": "openvino", **plain}),
        Peer(
            "OpenVINO int8",
            "NNCF's INT8 of the plain file, by its defaults",
            "openvino",
            {"peer": "openvino-int8", **plain},
        ),
        Peer("OpenVINO, edgekit fp32", "runs the bundle's fp32 file", "openvino", ours["fp32"]),
        Peer("OpenVINO, edgekit int8", "runs the bundle's int8 file", "openvino", ours["int8"]),
    ]
    for peer in found:
        peer.job.update(threads=threads, frames=str(models.frames))
    return found


class Worker:
    """A peer's process, between its rounds asleep."""

    def __init__(self, peer: Peer, python: str, folder: Path):
        self.peer = peer
        answers = folder / f"answers-{id(peer)}.npy"
        threads = str(peer.job["threads"])
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENVINO_TELEMETRY": "0"}
        job = json.dumps({**peer.job, "answers": str(answers)})
        self._errors = open(folder / f"errors-{id(peer)}.txt", "w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, str(WORKER), job],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        said = self._answer()
        if said:
            peer.version, peer.answers = said["version"], np.load(answers)

    def run(self, count: int) -> None:
        self._process.stdin.write(f"run {count}\n")
        self._process.stdin.flush()
        said = self._answer()
        if said:
            self.peer.rounds.append(said["ms"])

    def _answer(self) -> dict | None:
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        last = (self._errors.read().strip().splitlines() or [f"it ended with {self._process.returncode}"])[-1]
        self.peer.trouble = last[:300]
        return None

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


def measure(
    models: Models, threads: int, rounds: int, frames: int, pythons: dict[str, str], folder: Path
) -> list[Peer]:
    peers = peers_of(models, threads)
    workers = []
    try:
        for peer in peers:
            if not peer.trouble:
                print(f"{threads} threads: starting {peer.name}", file=sys.stderr, flush=True)
                try:
                    workers.append(Worker(peer, pythons.get(peer.group, sys.executable), folder))
                except OSError as error:
                    peer.trouble = str(error)
        for number in range(rounds):
            print(f"{threads} threads: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            start = number % len(workers)
            for worker in workers[start:] + workers[:start]:
                if not worker.peer.trouble:
                    worker.run(1)  # wakes caches and threads; not counted
                    worker.peer.rounds.pop()
                    worker.run(frames)
    finally:
        for worker in workers:
            worker.close()
    return peers


def ratio(peer: Peer, ours: Peer) -> float:
    """How many times edgekit's time the peer takes: the median over rounds of medians, round by round."""
    return median(median(theirs) / median(own) for theirs, own in zip(peer.rounds, ours.rounds, strict=True))


def report(by_threads: dict[int, list[Peer]], models: Models, size: tuple[int, int], counts: tuple[int, int]) -> str:
    first = next(iter(by_threads.values()))
    reference = next(p for p in first if p.name == "torch eager")
    header = ["", "what it is"]
    for threads in by_threads:
        header += [f"p50 ms, {threads} thr.", "p99", "× edgekit int8"]
    header.append("same pixels as torch %")
    rows = []
    for peers in zip(*by_threads.values(), strict=True):
        row = [peers[0].name, peers[0].about]
        for peer, ours in zip(peers, (p[0] for p in by_threads.values()), strict=True):
            if peer.trouble or ours.trouble:
                row += ["–"] * 3
            else:
                summary = summarise(peer.ms)
                row += [f"{summary.p50:.1f}", f"{summary.p99:.1f}", f"{ratio(peer, ours):.2f}"]
        same = peers[0].answers is not None and reference.answers is not None
        row.append(f"{100 * np.mean(peers[0].answers == reference.answers):.2f}" if same else "–")
        rows.append(row)
    rounds, frames = counts
    versions = dict.fromkeys(version for p in first if p.version for version in p.version.split(", "))
    lines = [
        provenance(["torch", "onnx", "onnxruntime"]),
        "",
        f"Runtimes as run: {', '.join(versions)}.",
        f"Student: {models.about}. Input {size[0]}×{size[1]}, batch 1, uint8 frame to class map at its own size; "
        f"{rounds} rounds of {frames} frames, peers in turn. ×: median over rounds of the ratio of medians.",
        "Same pixels as torch: edgekit takes the argmax at the student's resolution and enlarges the classes, the "
        "others enlarge the logits; of an untrained student, whose classes are noise, that changes many more pixels.",
        "",
        table(header, rows, left=2),
        "",
        *verdicts(by_threads),
    ]
    return "\n".join(lines)


def verdicts(by_threads: dict[int, list[Peer]]) -> list[str]:
    """The goals, where OpenVINO wins, and who could not run."""
    said = []
    for threads, peers in by_threads.items():
        ours = peers[0]
        for peer in peers:
            if ours.trouble or peer.trouble or peer is ours:
                continue
            times = ratio(peer, ours)
            if peer.name in FASTER:
                goal = FASTER[peer.name]
                word = "holds" if times >= goal else "**does not hold**"
                said.append(f"- {word}, {threads} threads: at least {goal:g}× as fast as {peer.name} ({times:.2f}×)")
            elif times < 1 - LEVEL:
                said.append(f"- {threads} threads: {peer.name} is faster than edgekit int8, {1 / times:.2f}×")
            elif times < 1 + LEVEL:
                said.append(f"- {threads} threads: {peer.name} and edgekit int8 are level")
        said += [f"- could not run, {threads} threads: {p.name}: {p.trouble}" for p in peers if p.trouble]
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "student", nargs="?", type=Path, help="a run's folder or a student's .pt (default: untrained repseg)"
    )
    parser.add_argument("--size", default="544x960", help="default 544x960")
    parser.add_argument("--classes", type=int, default=10, help="of the untrained student (default 10)")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1], help="default 2 1")
    parser.add_argument("--rounds", type=int, default=12, help="default 12")
    parser.add_argument("--frames", type=int, default=15, help="per round and peer (default 15)")
    parser.add_argument("--calibration", type=int, default=64, help="frames to calibrate and time with (default 64)")
    parser.add_argument(
        "--peer-python",
        action="append",
        default=[],
        metavar="GROUP=PATH",
        help=f"another Python for one of {', '.join(GROUPS)}; repeatable",
    )
    parser.add_argument("--quick", action="store_true", help="96x160, few frames: does everything work?")
    parser.add_argument("--write", action="store_true", help=f"put the section '{SECTION}' into RESULTS.md")
    parser.add_argument("--json", type=Path, help="write all times to a file")
    given = parser.parse_args()
    if given.quick:
        given.size, given.rounds, given.frames, given.calibration = "96x160", 3, 3, 4
    size, pythons = parse_size(given.size), dict(p.split("=", 1) for p in given.peer_python if "=" in p)
    unknown = [p for p in given.peer_python if p.partition("=")[0] not in GROUPS or "=" not in p]
    if unknown:
        parser.error(f"--peer-python {unknown[0]}: write one of {', '.join(GROUPS)}, = and a Python")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = make_models(given.student, folder, size, given.classes, given.calibration)
        found = {t: measure(models, t, given.rounds, given.frames, pythons, folder) for t in given.threads}
        text = report(found, models, size, (given.rounds, given.frames))
    if given.quick:
        text = f"*Quick: shows that every peer runs; its figures mean nothing.*\n\n{text}"
    print(text)
    if given.write:
        write_section(SECTION, text)
    if given.json:
        everything = {t: {p.name: {"ms": p.rounds, "trouble": p.trouble} for p in peers} for t, peers in found.items()}
        given.json.write_text(json.dumps({"command": command_line(), "threads": everything}))


if __name__ == "__main__":
    try:
        main()
    except EdgekitError as error:
        sys.exit(str(error))
