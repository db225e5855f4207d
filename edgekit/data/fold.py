"""Which frames a fold holds out."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.data.source import FrameInfo


def folds_of(frames: Sequence[FrameInfo], count: int) -> dict[str, int]:
    """Frame name → the fold, 0 to count − 1, that holds the frame out.

    Neighbouring frames of a film show the same things: a model that saw one knows the other. So folds are whole scenes
    where at least ``count`` scenes have labels, else runs of neighbours, of labelled and unlabelled frames alike.
    """
    labelled = [f for f in frames if f.labelled]
    scenes = dict.fromkeys(f.scene for f in labelled)
    if len(scenes) >= count:
        scenes |= dict.fromkeys(f.scene for f in frames)  # behind those with labels, which all folds get a share of
        fold = {scene: i % count for i, scene in enumerate(scenes)}
        return {f.name: fold[f.scene] for f in frames}
    others = [f for f in frames if not f.labelled]
    return {f.name: i * count // len(part) for part in (labelled, others) for i, f in enumerate(part)}
