"""The ensemble: maskings × networks × flips × scales, averaged as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.heads import HEADS
from edgekit.tasks import Task
from edgekit.teachers.config import EnsembleConfig, MaskingConfig
from edgekit.teachers.masking import distinct_maskings
from edgekit.teachers.multimodal import MultiModal
from edgekit.training.precision import autocast


@dataclass(frozen=True)
class Member:
    """One way of asking: which network sees which modalities of the frame, mirrored how, at what size."""

    network: int
    visible: tuple[bool, ...]
    mirror_x: bool = False
    mirror_y: bool = False
    scale: float = 1.0


def members_of(
    config: EnsembleConfig, networks: int, modalities: Sequence[str], masking: MaskingConfig
) -> list[Member]:
    """Every combination that the recipe asks for."""
    maskings = distinct_maskings(config.maskings, modalities, masking, config.seed)
    return [
        Member(network, tuple(map(bool, visible)), mirror_x, mirror_y, scale)
        for network in range(networks)
        for scale in config.scales
        for mirror_y in ((False, True) if config.vertical_flips else (False,))
        for mirror_x in ((False, True) if config.flips else (False,))
        for visible in maskings
    ]


def only(modalities: Sequence[str], names: Sequence[str], network: int = 0, scale: float = 1.0) -> list[Member]:
    """An "ensemble" of one pass that sees the named modalities."""
    return [Member(network, tuple(m in names for m in modalities), scale=scale)]


@dataclass
class Prediction:
    """What the ensemble says of one task: ``soft`` (N, C, h, w), ``disagreement`` (N, h, w) in [0, 1]."""

    soft: Tensor
    disagreement: Tensor


class Ensemble:
    """Runs members one by one and keeps only running sums, so memory does not grow with their number."""

    def __init__(
        self,
        networks: Sequence[MultiModal],
        members: Sequence[Member],
        *,
        average: str = "probability",
        precision="auto",
        at_once: int = 8,
    ):
        self.networks = [n.eval() for n in networks]
        self.members = list(members)
        self.at_once = at_once
        self._average = average
        self._precision = precision

    @torch.no_grad()
    def predict(self, inputs: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Prediction]:
        """Modalities (N, C, H, W) in network units → a prediction per task at ``size`` (h, w)."""
        tasks = self.networks[0].tasks
        sums = {t.name: HEADS[t.kind].aggregate(self._average) for t in tasks}
        for group in self._groups():
            for task, soft in self._ask(group, inputs, size):
                sums[task.name].add(soft)
        return {name: Prediction(total.mean(), total.disagreement()) for name, total in sums.items()}

    @property
    def largest_batch(self) -> int:
        """How many passes run at once."""
        return max(len(group) for group in self._groups())

    def _groups(self) -> Iterator[list[Member]]:
        """Members that differ in their masking alone share a batch: they see the same pixels of the same frame."""
        alike = groupby(self.members, key=lambda m: (m.network, m.scale, m.mirror_x, m.mirror_y))
        for _, members in alike:
            members = list(members)
            for start in range(0, len(members), self.at_once):
                yield members[start : start + self.at_once]

    def _ask(
        self, group: list[Member], inputs: dict[str, Tensor], size: tuple[int, int]
    ) -> Iterator[tuple[Task, Tensor]]:
        like = group[0]
        network = self.networks[like.network]
        seen = {t.name: _present(t, inputs[t.name], like) for t in network.modalities}
        x = network.standardise(seen).nan_to_num(nan=0.0)
        if like.scale != 1.0:
            # by size, not by factor: a factor that does not divide the frame would shift what comes back
            resized = [max(1, round(s * like.scale)) for s in x.shape[-2:]]
            x = F.interpolate(x, size=resized, mode="bilinear", align_corners=False, antialias=like.scale < 1)
        frames = x.shape[0]
        visible = torch.from_numpy(np.array([m.visible for m in group])).repeat_interleave(frames, dim=0)
        with autocast(self._precision, x.device.type):
            raw = network(x.repeat(len(group), 1, 1, 1), visible)
        for task in network.tasks:
            resized = F.interpolate(raw[task.name].float(), size=size, mode="bilinear", align_corners=False)
            soft = _undo(task, HEADS[task.kind].soften(resized), like)
            for one in soft.split(frames):
                yield task, one


def _present(task: Task, x: Tensor, member: Member) -> Tensor:
    """A modality as the member sees it: mirrored, and its values zoomed (its pixels are resampled later)."""
    head = HEADS.get(task.kind)
    if head is None:
        x = x.flip(-1) if member.mirror_x else x
        return x.flip(-2) if member.mirror_y else x
    x = head.mirror(x) if member.mirror_x else x
    x = head.mirror_vertical(x) if member.mirror_y else x
    return head.zoom(task, x, member.scale) if member.scale != 1.0 else x


def _undo(task: Task, soft: Tensor, member: Member) -> Tensor:
    head = HEADS[task.kind]
    soft = head.zoom(task, soft, 1.0 / member.scale) if member.scale != 1.0 else soft
    soft = head.mirror_vertical(soft) if member.mirror_y else soft
    return head.mirror(soft) if member.mirror_x else soft
