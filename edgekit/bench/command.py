"""`edgekit bench BUNDLE` without its command line: open, measure, time a cold start."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.bench.cold_start import cold_start
from edgekit.bench.host import resize_frames
from edgekit.bench.measurement import measure_predictor
from edgekit.bench.soak import parse_duration
from edgekit.bench.stopwatch import BenchPlan
from edgekit.bench.telemetry.system import System
from edgekit.bench.trtexec import trtexec_command
from edgekit.bundle.bundle import open_bundle
from edgekit.engine.build import UNRUN
from edgekit.errors import EdgekitError
from edgekit.frames.sizes import parse_size
from edgekit.runtime.load import load
from edgekit.runtime.predictor import Predictor

ENGINES = (".plan", ".rtx", ".engine")
MOST_FRAMES = 16  # of the golden ones: what is timed does not depend on how many there are


def measure_bundle(
    bundle: Path,
    *,
    backend: str | None = None,
    precision: str | None = None,
    lane: str | None = None,
    engine: Path | None = None,
    threads: int | None = None,
    duration: float = 3.0,
    runs: int = 100,
    warm_up: float = 0.2,
    frame_size: str | None = None,
    cuda_graph: bool = False,
    layers: bool = False,
    soak: str | None = None,
    match_trtexec: bool = False,
    system: System | None = None,
    progress: Callable[[str, float], None] = lambda step, done: None,
) -> dict[str, Any]:
    """A measurement (see ``document``) of a bundle, or of an engine built from one, on the bundle's golden frames.

    EdgekitError where the bundle, the backend or the engine cannot be opened, or an option does not fit them.
    """
    soak_seconds = parse_duration(soak, "--soak") if soak else 0.0
    size = parse_size(frame_size, "--frame-size", most=16384) if frame_size else None
    plan = BenchPlan(warm_up, duration, runs)
    if bundle.suffix in ENGINES and bundle.is_file():
        bundle, engine, backend = bundle_of(bundle), bundle, backend or "tensorrt"
    options = {"backend": backend, "precision": precision, "threads": threads, "lane": lane}
    options["engine"] = str(engine) if engine else None
    opened = open_bundle(bundle)
    frames = {name: array[:MOST_FRAMES] for name, array in opened.golden_frames().items()}
    frames = resize_frames(frames, size)
    with load(opened, **options) as predictor:
        if cuda_graph:
            _use_graph(predictor, frames)
        command = _trtexec(predictor, plan, cuda_graph) if match_trtexec else None
        document = measure_predictor(
            predictor, frames, plan, system=system, progress=progress, layers=layers, soak_seconds=soak_seconds
        )
    document["subject"]["cuda_graph"] = cuda_graph
    document["trtexec"] = command
    document["unrun"] = UNRUN if document["subject"]["backend"] == "tensorrt" else None
    if layers and document["layers"] is None:
        document["marks"].append(f"no layers: {document['subject']['backend']} does not time them")
    progress("cold start", 0.0)
    try:
        found = cold_start({"bundle": str(bundle), **options})
    except RuntimeError as error:
        document["marks"].append(f"the cold start could not be measured: {error}")
    else:
        document["memory"] = {"peak_mib": found.pop("peak_mib")}
        document["start_up"] = found
    progress("cold start", 1.0)
    return document


def bundle_of(engine: Path) -> Path:
    """The bundle that an engine was built from: ``B/engines/x.plan`` or, beside ``B.tar``, ``B-engines/x.plan``.

    EdgekitError where it lies elsewhere.
    """
    folder = engine.resolve().parent
    if folder.name == "engines":
        return folder.parent
    tar = folder.with_name(f"{folder.name.removesuffix('-engines')}.tar")
    if folder.name.endswith("-engines") and tar.is_file():
        return tar
    raise EdgekitError(
        "it is not known which bundle this engine belongs to: it does not lie where `edgekit build` puts engines",
        where=str(engine),
        fix=f"name both: edgekit bench BUNDLE --backend tensorrt --engine {engine}",
    )


def _use_graph(predictor: Predictor, frames: Any) -> None:
    if not hasattr(predictor.backend, "use_graph"):
        raise EdgekitError(
            f"the backend {predictor.backend.name} has no CUDA graphs",
            where="--cuda-graph",
            fix="leave it out, or use --backend tensorrt",
        )
    # A graph is captured for the shape that ran last.
    predictor.raw({name: array[:1] for name, array in frames.items()})
    predictor.backend.use_graph()


def _trtexec(predictor: Predictor, plan: BenchPlan, cuda_graph: bool) -> str:
    described = predictor.describe()
    runs_plans = described["backend"] == "tensorrt"
    version = re.search(r"TensorRT (\d+(?:\.\d+)+)", described["runtime"]) if runs_plans else None  # not "for RTX"
    if version is None:
        raise EdgekitError(
            f"trtexec times TensorRT engines, and this runs on {described['runtime']}",
            where="--match-trtexec",
            fix="leave it out, or use --backend tensorrt",
        )
    shapes = {name: profile.opt for name, profile in predictor.backend.artifact.profiles().items()} or None
    core = predictor.backend.sidecar.dla_core
    return trtexec_command(described["engine"], plan, version[1], cuda_graph=cuda_graph, shapes=shapes, dla_core=core)
