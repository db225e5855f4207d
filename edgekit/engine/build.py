"""`edgekit build`: choose, build in a child process, check on the golden frames, keep the engine that passes."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgekit import __version__
from edgekit.boards.machine import Machine, read_machine
from edgekit.bundle.bundle import Bundle
from edgekit.bundle.manifest import Artifact
from edgekit.engine.calibration_cache import cache_of
from edgekit.engine.calibration_frames import find_frames
from edgekit.engine.capabilities import Capabilities
from edgekit.engine.child import run_child
from edgekit.engine.job import BEST, BuildJob, BuildOptions, CheckJob, ProbeJob
from edgekit.engine.lanes import buildable, choose
from edgekit.engine.layers import count_layers
from edgekit.engine.timing_cache import default_path
from edgekit.engine.workfolder import work_folder
from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, sha256
from edgekit.runtime.tensorrt.locate import engine_folder, engine_name
from edgekit.runtime.tensorrt.sidecar import Installed, Sidecar, sidecar_path

UNRUN = (
    "edgekit's TensorRT code was tested against TensorRT's Python bindings and a fake GPU; none of it "
    "has been executed on a Jetson yet. docs/on_device.md says how to check it there."
)


@dataclass(frozen=True)
class Built:
    """One engine. ``path``: where it lies, None where it was not kept, and ``reason`` says why."""

    sidecar: Sidecar
    path: Path | None = None
    reason: str | None = None

    @property
    def passes(self) -> bool:
        golden = self.sidecar.golden
        return golden is not None and all(check["holds"] for check in golden)


Listen = Callable[[str, dict[str, Any]], None]


def build(bundle: Bundle, options: BuildOptions, listen: Listen = lambda engine, event: None) -> list[Built]:
    """Every engine that was built, the one that was kept first.

    ``best`` builds fp16 and int8 and keeps the faster of those that pass the golden frames, or none. An engine of a
    stated precision is kept either way; its sidecar says whether it passes.
    listen  gets ("fp16 weak", event) while they are built
    EdgekitError where nothing can be built.
    """
    if options.gpu_fallback and options.dla_core is None:
        raise EdgekitError("--gpu-fallback is for engines on the DLA", fix="add --dla 0, or leave --gpu-fallback out")
    if options.calibrate is not None:
        find_frames(options.calibrate)
    can = Capabilities(**run_child(ProbeJob()))
    artifacts, notes = _choose(bundle, can, options)
    machine = read_machine()
    with work_folder(engine_folder(bundle)) as work:
        parts = []
        for artifact in artifacts:
            folder = work / f"{artifact.precision}-{artifact.lane}"
            parts.append((folder, _build_one(bundle, artifact, can, machine, options, folder, notes, listen)))
        return _keep(bundle, can, options, parts)


def _choose(bundle: Bundle, can: Capabilities, options: BuildOptions) -> tuple[list[Artifact], list[str]]:
    precision = options.precision if options.calibrate is None else "int8"  # only int8 is calibrated
    if precision != BEST:
        return [choose(bundle.manifest, can, options, precision)], []
    found = buildable(bundle.manifest, can, options)
    reduced = [a for a in found if a.precision != "fp32"]
    if not reduced:
        if not found:
            choose(bundle.manifest, can, options, "fp16")  # raises, with the reasons
        return found, ["the bundle can be built in fp32 alone here, so there was nothing to compare"]
    if len(reduced) == 1:
        return reduced, [f"only {reduced[0].precision} can be built here, so there was nothing to compare"]
    return reduced, []


def _build_one(
    bundle: Bundle,
    artifact: Artifact,
    can: Capabilities,
    machine: Machine,
    options: BuildOptions,
    folder: Path,
    notes: list[str],
    listen: Listen,
) -> Sidecar:
    folder.mkdir()
    label = f"{artifact.precision} {artifact.lane}"
    job = _job(bundle, artifact, can, options, folder)
    result = run_child(job, lambda event: listen(label, event))
    sidecar = _sidecar(bundle, artifact, can, machine, options, folder, result, notes)
    plan = folder / "plan"
    sidecar_path(plan).write_text(sidecar.to_json())
    if f"{artifact.lane}/{artifact.precision}" not in bundle.manifest.golden.tolerance:
        note = f"not checked on the golden frames: the bundle has no tolerance for {artifact.lane}/{artifact.precision}"
        return dataclasses.replace(sidecar, notes=(*sidecar.notes, note))
    listen(label, {"checking": True})
    checked = run_child(CheckJob(bundle.source, plan), lambda event: listen(label, event))
    return dataclasses.replace(sidecar, golden=tuple(checked["golden"]), timing=checked["timing"])


def _job(bundle: Bundle, artifact: Artifact, can: Capabilities, options: BuildOptions, folder: Path) -> BuildJob:
    cache = None
    if artifact.lane == "cache" and artifact.precision == "int8" and options.calibrate is None:
        cache = cache_of(bundle.manifest, artifact.file, can.tensorrt)
    return BuildJob(bundle.source, artifact, options, folder, options.timing_cache or default_path(can), cache)


def _sidecar(
    bundle: Bundle,
    artifact: Artifact,
    can: Capabilities,
    machine: Machine,
    options: BuildOptions,
    folder: Path,
    result: dict[str, Any],
    notes: list[str],
) -> Sidecar:
    plan = folder / "plan"
    notes = list(notes)
    counts = count_layers(result["layers"])
    if artifact.precision == "int8" and counts and not any("int8" in name for name in counts):
        notes.append("int8 was asked for and no layer computes in int8: " + ", ".join(counts))
    unscaled = [w for w in result["warnings"] if "missing scale" in w.lower()]
    if unscaled:
        notes.append(f"{len(unscaled)} tensors have no range and stay out of int8, first: {unscaled[0]}")
    return Sidecar(
        plan=sha256(plan),
        plan_bytes=plan.stat().st_size,
        bundle=bundle.manifest.name,
        model=artifact.file,
        model_sha256=bundle.manifest.files[artifact.file],
        lane=artifact.lane,
        precision=artifact.precision,
        installed=Installed(can.tensorrt, can.gpu, can.sm, platform.machine()),
        cuda=can.cuda,
        driver=can.driver,
        board=machine.board.name if machine.board else None,
        jetpack=machine.jetpack_version or (machine.jetpack.version if machine.jetpack else None),
        l4t=machine.l4t,
        power_mode=machine.power.name if machine.power else None,
        free_memory=machine.memory.available,
        dla_core=options.dla_core,
        gpu_fallback=options.gpu_fallback,
        flags={
            "workspace": result["workspace"],
            "tactics": result["tactics"],
            "optimization_level": options.optimization_level,
            "timing_cache_reused": result["timing_cache_reused"],
        },
        command=options.command(artifact.lane, artifact.precision),
        created=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        edgekit=__version__,
        seconds=result["seconds"],
        layers=tuple(result["layers"]),
        calibration=_calibration(bundle, result["calibration"]),
        notes=tuple(notes),
    )


def _calibration(bundle: Bundle, found: dict[str, Any] | None) -> dict[str, Any] | None:
    ranges = bundle.manifest.ranges
    if found is None or found["source"] != "bundle" or ranges is None:
        return found
    return {
        "source": "bundle",
        "observer": ranges.observer,
        "tensors": len(ranges.tensors),
        "unranged": len(ranges.unranged),
        "frames": ranges.frames,
        "preprocessing": ranges.preprocessing,
    }


def _keep(bundle: Bundle, can: Capabilities, options: BuildOptions, parts: list[tuple[Path, Sidecar]]) -> list[Built]:
    """Move the chosen engine into its place; all of them, that one first."""
    engines = [(folder, Built(sidecar)) for folder, sidecar in parts]
    chosen = engines[0]
    if options.precision == BEST and options.calibrate is None and len(engines) > 1:
        passing = [entry for entry in engines if entry[1].passes]
        if not passing:
            return [dataclasses.replace(built, reason=_failure(built)) for _, built in engines]
        chosen = min(passing, key=lambda entry: entry[1].sidecar.timing["compute_ms"])
    kept, others = _place(bundle, can, *chosen, engines), [entry for entry in engines if entry is not chosen]
    best = kept.sidecar.timing["compute_ms"] if kept.sidecar.timing else None
    return [
        kept,
        *(dataclasses.replace(b, reason=_failure(b) if not b.passes else _slower(b, best)) for _, b in others),
    ]


def _place(bundle: Bundle, can: Capabilities, folder: Path, built: Built, engines: list[tuple[Path, Built]]) -> Built:
    sidecar = built.sidecar
    compared = [f"{b.sidecar.precision} {_verdict(b)}" for _, b in engines] if len(engines) > 1 else []
    if compared:
        sidecar = dataclasses.replace(sidecar, notes=(*sidecar.notes, "chosen among " + ", ".join(compared)))
    model, dla = sidecar.model_sha256, sidecar.dla_core
    student = bundle.manifest.student.name
    name = engine_name(student, sidecar.precision, sidecar.lane, model, can.tensorrt, can.sm, dla)
    final, part = engine_folder(bundle) / name, folder / "plan"
    sidecar_path(part).write_text(sidecar.to_json())
    # A stop between the two leaves a plan and a sidecar that do not match, which loading finds out.
    places = {part: final, sidecar_path(part): sidecar_path(final)}
    if (folder / "calibration.cache").is_file():
        places[folder / "calibration.cache"] = final.with_suffix(".calibration")
    for made, place in places.items():
        with atomic_write(place) as whole:
            made.rename(whole)
    return dataclasses.replace(built, sidecar=sidecar, path=final)


def _verdict(built: Built) -> str:
    timing = built.sidecar.timing
    took = f"{timing['compute_ms']:.3f} ms" if timing else "not timed"
    return f"{took}, {'passes' if built.passes else 'fails'} the golden frames"


def _slower(built: Built, best: float | None) -> str:
    return f"slower: {built.sidecar.timing['compute_ms']:.3f} ms against {best:.3f} ms"


def _failure(built: Built) -> str:
    if built.sidecar.golden is None:
        return "it could not be checked on the golden frames"
    wrong = [
        f"{c['output']} {c['measure']} {c['value'] if c['value'] is None else format(c['value'], '.4f')}, "
        f"limit {c['limit']:.4f}"
        for c in built.sidecar.golden
        if not c["holds"]
    ]
    return "it fails the golden frames: " + "; ".join(wrong)
