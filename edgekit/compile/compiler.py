"""One ONNX file through the parser and the ahead-of-time builder of TensorRT for RTX, in a child process.

That compiler runs on a CPU and knows desktop GPUs alone. A file that it takes shows that NVIDIA's parser and compiler
accept the graph, and how they fuse it; it says nothing about speed or memory on a Jetson.
"""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgekit.compile.kernels import EngineKernel, count, kernels_of
from edgekit.errors import EdgekitError
from edgekit.runtime.tensorrt.module import RTX_MODULES

USUAL_CAPABILITIES = ("8.6",)
"""Ampere, of all that this compiler knows the nearest to Orin's 8.7."""
PORTABLE_CAPABILITIES = ("8.6", "8.9", "12.0")
"""RTX 30, 40 and 50: what NVIDIA builds a portable engine for by default. Turing (7.5) wants one of its own."""
Profiles = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]
"""Input → least, usual and most shape, or values where the input is itself a shape."""
_is_capability = re.compile(r"\d{1,2}\.\d").fullmatch
_TAIL = 2000
_SECONDS = 1800  # a file takes about a second; the builder has been seen to wait for ever


@dataclass(frozen=True)
class Refusal:
    """Why a file was not taken, in NVIDIA's words; node and operator where known.

    ``by``: parser, builder, crash or time.
    """

    what: str
    node: str
    operator: str
    by: str

    def __str__(self) -> str:
        node = f"'{self.node}' ({self.operator}): " if self.node or self.operator else ""
        return f"{node}{self.what}"


@dataclass(frozen=True)
class Engine:
    """What came out of a build that took ``seconds``. Memory is None where the compiler does not say it.

    not_understood  lines of the compiler's table that edgekit cannot read: counts of kernels lack them
    """

    plan: bytes
    kernels: tuple[EngineKernel, ...]
    not_understood: tuple[str, ...]
    seconds: float
    activation_bytes: int | None
    weight_bytes: int | None


@dataclass(frozen=True)
class Compiled:
    """What the compiler made of one file: an engine, or refusals."""

    subject: str
    version: str
    engine: Engine | None
    refusals: tuple[Refusal, ...]
    warnings: tuple[str, ...]

    @property
    def taken(self) -> bool:
        return self.engine is not None

    def to_json(self) -> dict[str, Any]:
        out = {
            "subject": self.subject,
            "tensorrt_rtx": self.version,
            "taken": self.taken,
            "refusals": [asdict(refusal) for refusal in self.refusals],
            "warnings": list(self.warnings),
            "engine": None,
        }
        if self.engine:
            engine = self.engine
            out["engine"] = {
                **count(engine.kernels),
                "seconds": round(engine.seconds, 2),
                "plan_bytes": len(engine.plan),
                "activation_bytes": engine.activation_bytes,
                "weight_bytes": engine.weight_bytes,
                "not_understood": list(engine.not_understood),
                "layers": [asdict(kernel) for kernel in engine.kernels],
            }
        return out


def is_there() -> bool:
    """Whether TensorRT for RTX is installed."""
    return any(importlib.util.find_spec(name) for name in RTX_MODULES)


def check_installed() -> None:
    """EdgekitError where it is not."""
    if not is_there():
        raise EdgekitError(
            "TensorRT for RTX is not installed",
            where=f"this Python: {sys.executable}",
            fix="pip install 'edgekit[rtx]' (x86-64 Linux); it needs no GPU",
        )


def check_capabilities(capabilities: Sequence[str]) -> None:
    """EdgekitError where the installed compiler does not build for them, for use before hours of work."""
    compile_model(b"", "nothing", capabilities=capabilities)


def compile_model(
    model: bytes, subject: str, *, profiles: Profiles | None = None, capabilities: Sequence[str] = USUAL_CAPABILITIES
) -> Compiled:
    """Parse and build an ONNX file as a strongly typed network; what crashes there ends the child alone.

    profiles      for each input that has open dimensions, or is a shape
    capabilities  CUDA compute capabilities to build for, as "8.6"

    EdgekitError where the package is missing, or does not know a compute capability.
    """
    check_installed()
    wrong = [word for word in capabilities if not _is_capability(word)]
    if wrong or not capabilities:
        raise EdgekitError(
            f"'{wrong[0] if wrong else ''}' is no compute capability", where="--compute-capability", fix="e.g. 8.6,8.9"
        )
    with tempfile.TemporaryDirectory(prefix="edgekit-compile-") as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model)
        job = {"compute_capabilities": list(capabilities), "profiles": dict(profiles or {})}
        (folder / "job.json").write_text(json.dumps(job), "utf-8")
        command = [sys.executable, "-m", "edgekit.compile.worker", name]
        nothing = subprocess.DEVNULL
        try:
            child = subprocess.run(
                command, stdin=nothing, stdout=nothing, stderr=subprocess.PIPE, check=False, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            what = f"it did not end within {_SECONDS // 60} minutes"
            return Compiled(subject, "unknown", None, (Refusal(what, "", "", "time"),), ())
        if child.returncode < 0:
            what = f"it crashed ({signal.Signals(-child.returncode).name})"
            return Compiled(subject, "unknown", None, (Refusal(what, "", "", "crash"),), ())
        if child.returncode:
            lines = child.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
            said = next((line for line in reversed(lines) if "Error: " in line), lines[-1])[-_TAIL:]
            return Compiled(subject, "unknown", None, (Refusal(f"its process failed: {said}", "", "", "start"),), ())
        result = json.loads((folder / "result.json").read_text("utf-8"))
        plan = (folder / "engine").read_bytes() if (folder / "engine").exists() else None
    if "unknown" in result:
        raise EdgekitError(
            f"TensorRT for RTX {result['version']} does not build for all of {', '.join(capabilities)}",
            where="--compute-capability",
            fix=f"use some of {', '.join(result['unknown'])}; Jetson's GPUs are not among them",
        )
    return _compiled(subject, result, plan)


def _compiled(subject: str, result: dict[str, Any], plan: bytes | None) -> Compiled:
    refusals = tuple(Refusal(**refusal) for refusal in result["refusals"])
    warnings = tuple(dict.fromkeys(text.strip() for severity, text in result["said"] if severity == "WARNING"))
    engine = None
    if plan is not None:
        messages = [text for _, text in result["said"]]
        tables = [kernels_of(text) for text in messages if text.startswith("Layers:")]
        engine = Engine(
            plan,
            tuple(kernel for kernels, _ in tables for kernel in kernels),
            tuple(line for _, strange in tables for line in strange)
            or (() if tables else ("the builder logged no table of layers",)),
            result["seconds"],
            _bytes(messages, "Total Activation Memory:"),
            _bytes(messages, "Total Weights Memory:"),
        )
    return Compiled(subject, result["version"], engine, refusals, warnings)


def _bytes(messages: Sequence[str], name: str) -> int | None:
    found = [re.fullmatch(rf"{name} (\d+) bytes", text.strip()) for text in messages]
    return next((int(match[1]) for match in found if match), None)
