"""Where engines of a bundle lie, and which of them is meant."""

from __future__ import annotations

from pathlib import Path

from edgekit.bundle.bundle import ENGINES, Bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.tensorrt.sidecar import Sidecar, read_sidecar, sidecar_path

SUFFIX, RTX_SUFFIX = ".plan", ".rtx"
"""Of TensorRT's plans, and of those of TensorRT for RTX."""


def engine_folder(bundle: Bundle) -> Path:
    """``engines`` in a bundle's directory, ``<name>-engines`` beside a .tar."""
    if bundle.source.is_dir():
        return bundle.source / ENGINES
    return bundle.source.with_name(f"{bundle.source.stem}-{ENGINES}")


def engine_name(student: str, side: Sidecar) -> str:
    """A plan's file name, which says what it is: ``repseg-int8-weak-1a2b3c4d-trt10.3.0-sm87.plan``."""
    device = f"sm{side.installed.sm.replace('.', '')}" + ("" if side.dla_core is None else f"-dla{side.dla_core}")
    built = f"{side.precision}-{side.lane}-{side.model_sha256[:8]}"
    return f"{student}-{built}-trt{side.installed.tensorrt}-{device}{SUFFIX}"


def find_engine(bundle: Bundle, lane: str | None, precision: str | None) -> tuple[Path, Sidecar]:
    """The newest engine built from this bundle's files, of a lane and precision where they are given.

    One of TensorRT for RTX, which `edgekit compile` keeps beside others, is meant where there is no other.
    EdgekitError, with the command that builds an engine, if nothing fits.
    """
    folder = engine_folder(bundle)
    found = []
    for plan in sorted(path for suffix in (SUFFIX, RTX_SUFFIX) for path in folder.glob(f"*{suffix}")):
        if not sidecar_path(plan).is_file():
            continue
        sidecar = read_sidecar(plan)
        same = bundle.manifest.files.get(sidecar.model) == sidecar.model_sha256
        if same and lane in (None, sidecar.lane) and precision in (None, sidecar.precision):
            found.append((not sidecar.for_rtx, sidecar.created, plan, sidecar))
    if not found:
        options = "".join(f" --{k} {v}" for k, v in (("lane", lane), ("precision", precision)) if v)
        wanted = " ".join(filter(None, [precision, lane and f"{lane}-lane"]))
        raise EdgekitError(
            f"no {wanted + ' ' if wanted else ''}engine has been built from this bundle",
            where=str(folder),
            fix=f"build one on this machine: edgekit build {bundle.source}{options}",
        )
    *_, plan, sidecar = max(found, key=lambda entry: entry[:3])
    return plan, sidecar
