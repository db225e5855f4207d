"""The page of `edgekit data select`: which frames were chosen, where they lie among the others, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from edgekit.data.select.choose import Ranking
from edgekit.data.select.measure import CandidateFrame, Measured
from edgekit.errors import EdgekitError
from edgekit.report.page import page, picture

_PICTURES = 200  # of chosen frames
_WORST = 8
_SOUND = 0.9  # frames of at least this quality are not shown among the worst
_DOTS = 3000
_WIDTH, _HEIGHT = 1000, 420  # of the map of frames


def selection_page(measured: Measured, ranking: Ranking, kept: Sequence[int], found: Mapping[str, Any]) -> str:
    """HTML. ``found``: the result of ``select_frames``."""
    order, frames = ranking.choice.order, measured.frames
    passed = [i for i in np.argsort(ranking.quality, kind="stable") if i not in set(order) | set(kept)]
    passed = [i for i in passed if ranking.quality[i] < _SOUND]
    scenes: dict[str, list[int]] = {}
    for i, frame in enumerate(frames):
        scenes.setdefault(frame.scene, []).append(i)
    return page(
        "select.html",
        title=f"{len(order)} frames chosen of {len(frames)}",
        found=found,
        scenes=[(name, own, _strip(own, order, kept)) for name, own in scenes.items()],
        chosen=set(order),
        plane=_plane(ranking.features, order, kept),
        rows=[
            (number, about, _picture(frames[i]))
            for number, (i, about) in enumerate(zip(order, found["chosen"], strict=True), 1)
        ][:_PICTURES],
        passed=[(frames[i].name, ranking.quality[i], ranking.why[i], _picture(frames[i])) for i in passed[:_WORST]],
    )


def _picture(frame: CandidateFrame) -> Markup:
    try:
        return picture(frame.rgb(), frame.name)
    except EdgekitError:  # gone since it was measured
        return Markup("")


def _strip(own: Sequence[int], order: Sequence[int], kept: Sequence[int]) -> Markup:
    """The frames of a scene from the first to the last, a line for each chosen one."""
    lines = []
    for kind, some in (("kept", set(kept)), ("chosen", set(order))):
        lines += [
            Markup('<line class="{}" x1="{x:.1f}" x2="{x:.1f}" y1="1" y2="13"/>').format(
                kind, x=400 * (i + 0.5) / len(own)
            )
            for i, index in enumerate(own)
            if index in some
        ]
    return Markup(
        '<svg class="strip" viewBox="0 0 400 14" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(Markup("").join(lines))


def _plane(features: np.ndarray, order: Sequence[int], kept: Sequence[int]) -> Markup:
    """All frames as dots, near each other where they look alike: the two principal components of their features."""
    centred = features - features.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    at = centred @ axes[:, : -3 if axes.shape[1] > 1 else None : -1]
    at = at * np.where(at[np.abs(at).argmax(axis=0), np.arange(at.shape[1])] < 0, -1, 1)  # eigenvectors have no sign
    low, span = at.min(axis=0), np.maximum(np.ptp(at, axis=0), 1e-12)
    at = (at - low) / span * (_WIDTH - 40, _HEIGHT - 40) + 20
    others = np.unique(np.linspace(0, len(at) - 1, _DOTS).astype(int))
    dots = [Markup('<circle class="other" cx="{:.0f}" cy="{:.0f}" r="3"/>').format(*at[i]) for i in others]
    dots += [Markup('<circle class="kept" cx="{:.0f}" cy="{:.0f}" r="5"/>').format(*at[i]) for i in kept]
    for number, i in enumerate(order, 1):
        dot = Markup('<circle class="chosen" cx="{:.0f}" cy="{:.0f}" r="5"><title>{}</title></circle>')
        dots.append(dot.format(*at[i], number))
    about = Markup('<svg class="plane" viewBox="0 0 {} {}" role="img" aria-label="frames, alike ones near each other">')
    return about.format(_WIDTH, _HEIGHT) + Markup("").join(dots) + Markup("</svg>")
