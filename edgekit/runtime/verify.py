"""Replaying a bundle's golden frames: does this machine answer as the fp32 network did at export?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgekit.bundle.bundle import Bundle
from edgekit.errors import EdgekitError
from edgekit.runtime.placement import FramePlacement
from edgekit.runtime.postprocess import as_form
from edgekit.runtime.predictor import Predictor
from edgekit.runtime.preprocess import Frames
from edgekit.tasks import kind_of


@dataclass(frozen=True)
class GoldenCheck:
    """One output against the golden reference. ``value`` is None where there is no finite number."""

    artifact: str
    output: str
    measure: str
    value: float | None
    limit: float
    holds: bool


def verify(bundle: Bundle, predictor: Predictor) -> list[GoldenCheck]:
    """One check per output and measure that the bundle has a tolerance for.

    The network alone is checked, on frames of its own size; where an artifact gives logits, the form that the
    reference has is made of them first. EdgekitError where the bundle has no tolerance for the predictor's artifact.
    """
    artifact, golden = predictor.backend.artifact, bundle.manifest.golden
    key = f"{artifact.lane}/{artifact.precision}"
    tolerance = golden.tolerance.get(key)
    if not tolerance:
        raise EdgekitError(
            f"the bundle has no tolerance for {key}",
            where=str(bundle.source),
            fix=f"verify one of {', '.join(golden.tolerance) or 'another bundle'}",
        )
    _check_complete(bundle, predictor, tolerance)
    reference = bundle.golden()
    inputs = {s.input: s.task.name for s in bundle.manifest.preprocessing.sensors()}
    missing = sorted(({*inputs} | set(tolerance)) - set(reference))
    if missing:
        raise EdgekitError(
            f"the bundle is incomplete: its golden file has no '{missing[0]}'",
            where=str(bundle.path(golden.file)),
            fix="export the bundle again",
        )
    frames = {modality: reference[name] for name, modality in inputs.items()}
    answers = _answers(predictor, frames, list(tolerance))
    checks = []
    for output, limits in tolerance.items():
        for measure, limit in limits.items():
            value = _measure(measure, answers[output], reference[output], str(bundle.source))
            holds = value >= limit if measure == "agreement" else value <= limit
            checks.append(GoldenCheck(key, output, measure, value if np.isfinite(value) else None, limit, bool(holds)))
    return checks


def _check_complete(bundle: Bundle, predictor: Predictor, tolerance: dict[str, dict[str, float]]) -> None:
    """EdgekitError where an output would hold because nothing is compared."""
    nothing = [name for name, limits in tolerance.items() if not limits or not all(map(np.isfinite, limits.values()))]
    names: dict[str, set[str]] = {}  # of what may be compared, by task
    for result in predictor.results.values():
        names.setdefault(result.task.name, set()).update((f"{result.task.name}_{result.form}", result.source.name))
    nothing += [task for task, own in names.items() if own.isdisjoint(tolerance)]
    if nothing:
        raise EdgekitError(
            f"the bundle's tolerances compare nothing of '{nothing[0]}'",
            where=str(bundle.source),
            fix="export the bundle again",
        )


def _answers(predictor: Predictor, frames: Frames, names: list[str]) -> dict[str, np.ndarray]:
    """What the predictor's network says of the golden frames, under the names of the reference."""
    artifact = predictor.backend.artifact
    direct = {o.name for o in artifact.outputs} & set(names)
    made = {f"{r.task.name}_{r.form}": r for r in predictor.results.values()}
    unknown = [name for name in names if name not in direct and name not in made]
    if unknown:
        raise EdgekitError(
            f"'{unknown[0]}' cannot be made of what the network gives: {', '.join(o.name for o in artifact.outputs)}",
            where=artifact.file,
            fix="export the bundle again",
        )
    wanted = direct | {made[name].source.name for name in names if name not in direct}
    raw = predictor.raw(frames, wanted=sorted(wanted))
    out = {}
    for name in names:
        if name in direct:
            out[name] = raw[name]
        else:
            result = made[name]
            maps = [as_form(result, array) for array in raw[result.source.name]]
            # Decided at the resolution of the logits, enlarged by nearest neighbour.
            if kind_of(result.task).form(result.form).decided:
                whole = FramePlacement(predictor.size, predictor.size, predictor.size)
                maps = [whole.back_nearest(m, result.source.stride) for m in maps]
            out[name] = np.stack(maps)
    return out


def _measure(measure: str, answer: np.ndarray, reference: np.ndarray, where: str) -> float:
    if answer.shape != reference.shape:
        raise EdgekitError(
            f"the network's answer is {answer.shape}, the golden reference {reference.shape}",
            where=where,
            fix="export the bundle again; a built engine is rebuilt from it",
        )
    if measure == "agreement":
        return float((answer == reference).mean())
    if measure == "error":
        return float(np.abs(answer.astype(np.float32) - reference.astype(np.float32)).mean(dtype=np.float64))
    raise EdgekitError(
        f"the bundle asks for the measure '{measure}'",
        where=where,
        fix="update edgekit, which knows agreement, error",
    )
