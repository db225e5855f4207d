"""The JSON beside a plan: what it was built from, where, and how. The plan itself stays as TensorRT wrote it.

A plan runs on the TensorRT version, GPU and platform that built it, and TensorRT says little when it does not. So the
sidecar is checked before the plan is touched. A plan of TensorRT for RTX was built ahead of time, without a GPU, and
runs on those of the compute capabilities that it was built for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.outside import read_bytes, read_json
from edgekit.frames.typed import Misfit, as_typed

SCHEMA = 1
BUNDLE = "{bundle}"  # in ``Sidecar.command``


@dataclass(frozen=True)
class Installed:
    """Software and hardware that a plan requires.

    ``machine``: as ``platform.machine()`` says it. ``gpu`` and ``sm`` are empty for a plan built ahead of time, which
    requires none.
    """

    tensorrt: str
    gpu: str
    sm: str
    machine: str


@dataclass(frozen=True)
class Sidecar:
    """The sidecar's fields.

    plan, plan_bytes  SHA-256 and size of the plan file
    bundle, model, model_sha256  the bundle's name, the artifact's file in it and its hash
    lane, precision  of the artifact that was built
    installed   software and hardware that the plan requires
    cuda, driver, board, jetpack, l4t, power_mode, free_memory  of the machine while it was built, for the record
    dla_core, gpu_fallback  None, False for an engine that runs on the GPU alone
    flags       further settings of the builder
    command     builds it again, ``{bundle}`` standing for where the bundle lies
    seconds     the build took
    layers      name, type, device (GPU or DLA) and precision of every layer, as the engine's inspector says
    calibration which ranges an int8 engine of the cache lane has, else None
    golden      the checks on the golden frames, each {output, measure, value, limit, holds, …}; None where not checked
    timing      {compute_ms, runs}: mean GPU compute time after the build; None where it was not checked
    notes       what a user should know of it
    compute_capabilities  that it runs on, where TensorRT for RTX built it ahead of time; empty for TensorRT's own
    """

    plan: str
    plan_bytes: int
    bundle: str
    model: str
    model_sha256: str
    lane: str
    precision: str
    installed: Installed
    cuda: str
    driver: str
    board: str | None
    jetpack: str | None
    l4t: str | None
    power_mode: str | None
    free_memory: int | None
    dla_core: int | None
    gpu_fallback: bool
    flags: dict[str, Any]
    command: str
    created: str
    edgekit: str
    seconds: float
    layers: tuple[dict[str, Any], ...]
    calibration: dict[str, Any] | None = None
    golden: tuple[dict[str, Any], ...] | None = None
    timing: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    compute_capabilities: tuple[str, ...] = ()
    schema: int = field(default=SCHEMA)

    @property
    def for_rtx(self) -> bool:
        """Whether it is TensorRT for RTX's, and not TensorRT's."""
        return bool(self.compute_capabilities)

    @property
    def product(self) -> str:
        return "TensorRT for RTX" if self.for_rtx else "TensorRT"

    def rebuild(self, source: Path) -> str:
        """The command that builds it again from the bundle at ``source``."""
        return self.command.replace(BUNDLE, shlex.quote(str(source)))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def sidecar_path(plan: Path) -> Path:
    """Where a plan's sidecar lies: ``x.plan`` → ``x.plan.json``."""
    return plan.with_name(plan.name + ".json")


def read_sidecar(plan: Path) -> Sidecar:
    """EdgekitError where the plan or its sidecar is missing, or the sidecar is not one."""
    path = sidecar_path(plan)
    if not plan.is_file():
        raise EdgekitError(
            "there is no engine here", where=str(plan), fix="build it on this machine: edgekit build BUNDLE"
        )
    again = "build the engine again, on this machine: edgekit build BUNDLE"
    if not path.is_file():
        raise EdgekitError(
            f"the engine has no sidecar, so nothing says what it was built from: {path.name} is missing",
            where=str(plan),
            fix=f"copy the two files together, or {again}",
        )
    document = read_json(path, what="the engine's sidecar", fix=again)
    schema = document.get("schema") if isinstance(document, dict) else None
    if isinstance(schema, int) and schema != SCHEMA:
        what = f"the engine's sidecar has schema {schema}, this edgekit reads {SCHEMA}"
        raise EdgekitError(what, where=str(path), fix=again)
    try:
        return as_typed(Sidecar, document, "the sidecar")
    except Misfit as error:
        raise EdgekitError(f"the engine's sidecar cannot be read: {error}", where=str(path), fix=again) from None


def check_sidecar(sidecar: Sidecar, plan: Path, installed: Installed, source: Path, model_sha256: str | None) -> bytes:
    """The plan's content, once it is known to fit this machine and bundle.

    source, model_sha256: where the bundle lies, and the hash of its artifact.
    EdgekitError, with both values and the command that builds it again, for the first thing that differs.
    """
    for what, built, here in _bound_to(sidecar, installed):
        if here not in built:
            raise EdgekitError(
                f"the engine was built for {what} {', '.join(built)}, this machine has {here}"
                + ("" if sidecar.for_rtx else "; plans do not move"),
                where=str(plan),
                fix=f"build it here: {sidecar.rebuild(source)}",
            )
    if model_sha256 is not None and model_sha256 != sidecar.model_sha256:
        raise EdgekitError(
            f"the engine was built from another network: {sidecar.model} with SHA-256 {sidecar.model_sha256[:12]}…, "
            f"the bundle has {model_sha256[:12]}…",
            where=str(plan),
            fix=f"build it from this bundle: {sidecar.rebuild(source)}",
        )
    content = read_bytes(plan, what="the engine", fix=f"build it again: {sidecar.rebuild(source)}")
    if hashlib.sha256(content).hexdigest() != sidecar.plan:
        raise EdgekitError(
            f"the engine's file is not the one its sidecar describes ({len(content):,} bytes, built with "
            f"{sidecar.plan_bytes:,}): it was changed, cut short or copied without its sidecar",
            where=str(plan),
            fix=f"copy both files again, or build it again: {sidecar.rebuild(source)}",
        )
    return content


def _bound_to(sidecar: Sidecar, here: Installed) -> list[tuple[str, tuple[str, ...], str]]:
    """(what, those that the plan runs on, the one that is here)."""
    built = sidecar.installed
    own = [("GPU", (built.gpu,), here.gpu), ("compute capability", (built.sm,), here.sm)]
    return [
        (sidecar.product, (built.tensorrt,), here.tensorrt),
        *([("compute capability", sidecar.compute_capabilities, here.sm)] if sidecar.for_rtx else own),
        ("platform", (built.machine,), here.machine),
    ]
