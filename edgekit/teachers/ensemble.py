"""The ensemble: maskings × networks × flips × scales, averaged as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.data.source import FrameInfo
from edgekit.errors import EdgekitError
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


@dataclass(frozen=True)
class ExternalMember:
    """A teacher trained elsewhere: (frame, size) → soft map (1, C, *size) per task it has a word on, and its votes."""

    answer: Callable[[FrameInfo, tuple[int, int]], dict[str, Tensor]]
    votes: int = 1


class Ensemble:
    """Runs members one by one and keeps only running sums, so memory does not grow with their number.

    ``tasks``: what is predicted, by default what the first network predicts. ``others``: teachers from elsewhere, which
    count among the members of the tasks they speak of.
    """

    def __init__(
        self,
        networks: Sequence[MultiModal],
        members: Sequence[Member],
        *,
        average: str = "probability",
        precision="auto",
        at_once: int = 8,
        tasks: Sequence[Task] | None = None,
        others: Sequence[ExternalMember] = (),
    ):
        self.networks = [n.eval() for n in networks]
        self.members = list(members)
        self.others = list(others)
        self.tasks = list(tasks or self.networks[0].tasks)
        self.at_once = at_once
        self._average = average
        self._precision = precision

    @torch.no_grad()
    def predict(
        self, inputs: dict[str, Tensor], size: tuple[int, int], frame: FrameInfo | None = None
    ) -> dict[str, Prediction]:
        """Modalities (N, C, H, W) in network units → a prediction per task at ``size`` (h, w).

        ``frame``: what the inputs are of, for the teachers from elsewhere (then N is 1). EdgekitError where nobody has
        a word on it.
        """
        sums = {t.name: HEADS[t.kind].aggregate(self._average) for t in self.tasks}
        for group in self._groups():
            for task, soft in self._ask(group, inputs, size):
                sums[task.name].add(soft)
        for other in self.others:
            for name, soft in other.answer(frame, size).items():
                for _ in range(other.votes):
                    sums[name].add(soft)
        silent = [name for name, total in sums.items() if not total.members]
        if silent:
            raise EdgekitError(
                f"no teacher has a word on '{silent[0]}' of the frame '{frame.name if frame else ''}'",
                where="teacher.external",
                fix="complete the predictions, or train a network under teacher.members",
            )
        return {name: Prediction(total.mean(), total.disagreement()) for name, total in sums.items()}

    @property
    def count(self) -> int:
        """How many members there are, those from elsewhere by their votes."""
        return len(self.members) + sum(other.votes for other in self.others)

    @property
    def largest_batch(self) -> int:
        """How many passes run at once."""
        return max((len(group) for group in self._groups()), default=1)

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
            soft = _undo(task, HEADS[task.kind].activation(resized), like)
            for one in soft.split(frames):
                yield task, one


def _present(task: Task, x: Tensor, member: Member) -> Tensor:
    """A modality as the member sees it: mirrored, and its values zoomed (its pixels are resampled later)."""
    return HEADS[task.kind].reorient(task, _mirrored(x, member), _turn(member), member.scale)


def _undo(task: Task, soft: Tensor, member: Member) -> Tensor:
    return _mirrored(HEADS[task.kind].reorient(task, soft, _turn(member), 1.0 / member.scale), member)


def _mirrored(x: Tensor, member: Member) -> Tensor:
    axes = [axis for axis, mirror in ((-1, member.mirror_x), (-2, member.mirror_y)) if mirror]
    return x.flip(axes) if axes else x


def _turn(member: Member) -> tuple[float, float]:
    return -1.0 if member.mirror_x else 1.0, -1.0 if member.mirror_y else 1.0
