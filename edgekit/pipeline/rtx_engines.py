"""Engines that TensorRT for RTX built ahead of time, kept beside a bundle for the TensorRT backend."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from edgekit import __version__
from edgekit.bundle.bundle import Bundle
from edgekit.bundle.manifest import Artifact
from edgekit.compile.compiler import Compiled
from edgekit.frames.files import atomic_write, write_text, writing
from edgekit.runtime.tensorrt.locate import RTX_SUFFIX, engine_folder
from edgekit.runtime.tensorrt.sidecar import BUNDLE, Installed, Sidecar, sidecar_path

LANE = "strong"
"""Whose files they are made of: TensorRT for RTX knows strongly typed networks alone."""
UNRUN = (
    "built ahead of time without a GPU and not run: none of edgekit's code for TensorRT for RTX has been executed on "
    "an RTX GPU yet; check it there with `edgekit verify BUNDLE --backend tensorrt`"
)


def keep_engines(bundle: Bundle, found: Iterable[Compiled], capabilities: Sequence[str]) -> list[Path]:
    """Write the engine of each file that was taken, and its sidecar, where ``find_engine`` looks; their paths."""
    artifacts = {artifact.file: artifact for artifact in bundle.artifacts(LANE)}
    folder, kept = engine_folder(bundle), []
    with writing(folder):
        folder.mkdir(exist_ok=True)
    for compiled in found:
        artifact = artifacts.get(compiled.subject)
        if artifact is None or compiled.engine is None:
            continue
        place = folder / Path(artifact.file).with_suffix(RTX_SUFFIX).name
        with atomic_write(place) as part:
            part.write_bytes(compiled.engine.plan)
        write_text(sidecar_path(place), _sidecar(bundle, artifact, compiled, capabilities).to_json())
        kept.append(place)
    return kept


def _sidecar(bundle: Bundle, artifact: Artifact, compiled: Compiled, capabilities: Sequence[str]) -> Sidecar:
    engine, manifest = compiled.engine, bundle.manifest
    return Sidecar(
        plan=hashlib.sha256(engine.plan).hexdigest(),
        plan_bytes=len(engine.plan),
        bundle=manifest.name,
        model=artifact.file,
        model_sha256=manifest.files[artifact.file],
        lane=artifact.lane,
        precision=artifact.precision,
        installed=Installed(compiled.version, "", "", platform.machine()),
        cuda="",
        driver="",
        board=None,
        jetpack=None,
        l4t=None,
        power_mode=None,
        free_memory=None,
        dla_core=None,
        gpu_fallback=False,
        flags={},
        command=f"edgekit compile {BUNDLE} --keep --compute-capability {','.join(capabilities)}",
        created=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        edgekit=__version__,
        seconds=engine.seconds,
        layers=tuple(
            {"name": kernel.name, "type": kernel.kind, "device": "GPU", "precision": kernel.precision.lower()}
            for kernel in engine.kernels
        ),
        notes=(UNRUN,),
        compute_capabilities=tuple(capabilities),
    )
