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
    listen  is called with ("fp16 weak", event) while they are built
    EdgekitError where nothing can be built.
    """
    if options.gpu_fallback and options.dla_core is None:
        raise EdgekitError(
            "--gpu-fallback is for engines on the DLA",
            where="--gpu-fallback",
            fix="add --dla 0, or leave --gpu-fallback out",
        )
    if options.calibrate is not None:
        find_frames(options.calibrate)
    builds = _Builds(bundle, options, listen, Capabilities(**run_child(ProbeJob())), read_machine())
    artifacts, notes = builds.choose()
    with work_folder(engine_folder(bundle)) as work:
        folders = [work / f"{artifact.precision}-{artifact.lane}" for artifact in artifacts]
        engines = [
            (folder, Built(builds.one(artifact, folder, notes)))
            for artifact, folder in zip(artifacts, folders, strict=True)
        ]
        return builds.keep(engines)


@dataclass(frozen=True)
class _Builds:
    """The engines of one ``build``, and what each of them needs."""

    bundle: Bundle
    options: BuildOptions
    listen: Listen
    can: Capabilities
    machine: Machine

    def choose(self) -> tuple[list[Artifact], list[str]]:
        """The artifacts to build, and what their sidecars note about the choice."""
        manifest, can, options = self.bundle.manifest, self.can, self.options
        precision = options.precision if options.calibrate is None else "int8"  # only int8 is calibrated
        if precision != BEST:
            return [choose(manifest, can, options, precision)], []
        found = buildable(manifest, can, options)
        reduced = [a for a in found if a.precision != "fp32"]
        if not found:
            choose(manifest, can, options, "fp16")  # raises, with the reasons
        if not reduced:
            return found, ["the bundle can be built in fp32 alone here, so there was nothing to compare"]
        if len(reduced) == 1:
            return reduced, [f"only {reduced[0].precision} can be built here, so there was nothing to compare"]
        return reduced, []

    def one(self, artifact: Artifact, folder: Path, notes: list[str]) -> Sidecar:
        """Build an artifact into ``folder`` and check it on the golden frames."""
        folder.mkdir()
        label, plan = f"{artifact.precision} {artifact.lane}", folder / "plan"
        result = run_child(self.job(artifact, folder), lambda event: self.listen(label, event))
        sidecar = self.sidecar(artifact, plan, result, notes)
        sidecar_path(plan).write_text(sidecar.to_json())
        key = f"{artifact.lane}/{artifact.precision}"
        if key not in self.bundle.manifest.golden.tolerance:
            note = f"not checked on the golden frames: the bundle has no tolerance for {key}"
            return dataclasses.replace(sidecar, notes=(*sidecar.notes, note))
        self.listen(label, {"checking": True})
        checked = run_child(CheckJob(self.bundle.source, plan), lambda event: self.listen(label, event))
        return dataclasses.replace(sidecar, golden=tuple(checked["golden"]), timing=checked["timing"])

    def job(self, artifact: Artifact, folder: Path) -> BuildJob:
        cache, options = None, self.options
        if artifact.lane == "cache" and artifact.precision == "int8" and options.calibrate is None:
            cache = cache_of(self.bundle.manifest, artifact.file, self.can.tensorrt)
        timing_cache = options.timing_cache or default_path(self.can)
        return BuildJob(self.bundle.source, artifact, options, folder, timing_cache, cache)

    def sidecar(self, artifact: Artifact, plan: Path, result: dict[str, Any], notes: list[str]) -> Sidecar:
        notes, counts = list(notes), count_layers(result["layers"])
        if artifact.precision == "int8" and counts and not any("int8" in name for name in counts):
            notes.append("int8 was asked for and no layer computes in int8: " + ", ".join(counts))
        unscaled = [w for w in result["warnings"] if "missing scale" in w.lower()]
        if unscaled:
            notes.append(f"{len(unscaled)} tensors have no range and stay out of int8, first: {unscaled[0]}")
        can, machine, manifest, options = self.can, self.machine, self.bundle.manifest, self.options
        return Sidecar(
            plan=sha256(plan),
            plan_bytes=plan.stat().st_size,
            bundle=manifest.name,
            model=artifact.file,
            model_sha256=manifest.files[artifact.file],
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
                **{name: result[name] for name in ("workspace", "tactics", "timing_cache_reused")},
                "optimization_level": options.optimization_level,
            },
            command=options.command(artifact.lane, artifact.precision),
            created=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
            edgekit=__version__,
            seconds=result["seconds"],
            layers=tuple(result["layers"]),
            calibration=result["calibration"],
            notes=tuple(notes),
        )

    def keep(self, engines: list[tuple[Path, Built]]) -> list[Built]:
        """Move the chosen engine from its folder to its place; all of them, that one first."""
        chosen = engines[0]
        if len(engines) > 1:
            passing = [entry for entry in engines if entry[1].passes]
            if not passing:
                return [dataclasses.replace(built, reason=_failure(built)) for _, built in engines]
            chosen = min(passing, key=lambda entry: entry[1].sidecar.timing["compute_ms"])
        others = [built for folder, built in engines if folder != chosen[0]]
        kept = self.place(*chosen, [built for _, built in engines])
        return [kept, *(dataclasses.replace(b, reason=_slower(b, kept) if b.passes else _failure(b)) for b in others)]

    def place(self, folder: Path, built: Built, compared: list[Built]) -> Built:
        sidecar, student = built.sidecar, self.bundle.manifest.student.name
        if len(compared) > 1:
            note = "chosen among " + ", ".join(f"{b.sidecar.precision} {_verdict(b)}" for b in compared)
            sidecar = dataclasses.replace(sidecar, notes=(*sidecar.notes, note))
        final, part = engine_folder(self.bundle) / engine_name(student, sidecar), folder / "plan"
        sidecar_path(part).write_text(sidecar.to_json())
        # A stop between the two leaves a plan and a sidecar that do not match, which loading detects.
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


def _slower(built: Built, kept: Built) -> str:
    took, best = (b.sidecar.timing["compute_ms"] for b in (built, kept))
    return f"slower: {took:.3f} ms against {best:.3f} ms"


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
