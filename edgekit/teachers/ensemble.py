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
from edgekit.networks.resolutions import over_frame
from edgekit.tasks import Task
from edgekit.teachers.config import EnsembleConfig, MaskingConfig
from edgekit.teachers.masking import distinct_maskings
from edgekit.teachers.multimodal import MultiModal
from edgekit.training.precision import autocast


@dataclass(frozen=True)
class Member:
    """One forward pass: which network sees which modalities of the frame, mirrored how, at what scale."""

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


@dataclass
class Prediction:
    """The ensemble's prediction of one task: ``soft`` (N, C, h, w), ``disagreement`` (N, h, w) in [0, 1]."""

    soft: Tensor
    disagreement: Tensor


@dataclass(frozen=True)
class ExternalMember:
    """An external teacher: (frame, size) → soft map (1, C, *size) per task that it predicts, and its votes."""

    answer: Callable[[FrameInfo, tuple[int, int]], dict[str, Tensor]]
    votes: int = 1


class Ensemble:
    """Runs members in small batches and keeps only running sums, so that memory does not grow with their number.

    ``tasks``: what is predicted, by default the tasks of the first network. ``others``: external teachers, members for
    the tasks that they predict.
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

        ``frame``: the frame of the inputs, for external teachers (then N is 1). EdgekitError where no member predicts a
        task.
        """
        sums = {t.name: HEADS[t.kind].aggregate(self._average) for t in self.tasks}
        for group in self._groups():
            for task, soft in self._run(group, inputs, size):
                sums[task.name].add(soft)
        for other in self.others:
            for name, soft in other.answer(frame, size).items():
                for _ in range(other.votes):
                    sums[name].add(soft)
        silent = [name for name, total in sums.items() if not total.members]
        if silent:
            raise EdgekitError(
                f"no teacher has a prediction of '{silent[0]}' for the frame '{frame.name if frame else ''}'",
                where="teacher.external",
                fix="complete the predictions, or train a network under teacher.members",
            )
        return {name: Prediction(total.mean(), total.disagreement()) for name, total in sums.items()}

    @property
    def count(self) -> int:
        """The number of members, external ones counted by their votes."""
        return len(self.members) + sum(other.votes for other in self.others)

    @property
    def largest_batch(self) -> int:
        """The largest number of passes that run at once."""
        return max((len(group) for group in self._groups()), default=1)

    def _groups(self) -> Iterator[list[Member]]:
        """Members that differ in their masking alone share a batch, for their inputs are the same pixels."""
        alike = groupby(self.members, key=lambda m: (m.network, m.scale, m.mirror_x, m.mirror_y))
        for _, members in alike:
            members = list(members)
            for start in range(0, len(members), self.at_once):
                yield members[start : start + self.at_once]

    def _run(
        self, group: list[Member], inputs: dict[str, Tensor], size: tuple[int, int]
    ) -> Iterator[tuple[Task, Tensor]]:
        like = group[0]
        network = self.networks[like.network]
        seen = {t.name: _oriented(t, inputs[t.name], like, like.scale) for t in network.modalities}
        x = network.standardise(seen).nan_to_num(nan=0.0)
        if like.scale != 1.0:
            # by size, not by factor: a factor that does not divide the frame would shift the prediction
            resized = [max(1, round(s * like.scale)) for s in x.shape[-2:]]
            x = F.interpolate(x, size=resized, mode="bilinear", align_corners=False, antialias=like.scale < 1)
        frames = x.shape[0]
        visible = torch.from_numpy(np.array([m.visible for m in group])).repeat_interleave(frames, dim=0)
        with autocast(self._precision, x.device.type):
            raw = network(x.repeat(len(group), 1, 1, 1), visible)
        for task in network.tasks:
            resized = over_frame(raw[task.name].float(), network.network.stride, x.shape[-2:], size)
            soft = _oriented(task, HEADS[task.kind].activation(resized), like, 1.0 / like.scale)
            for one in soft.split(frames):
                yield task, one


def _oriented(task: Task, x: Tensor, member: Member, zoom: float) -> Tensor:
    """A map mirrored as the member's, its values turned and zoomed alike (its pixels are resampled elsewhere)."""
    axes = [axis for axis, mirror in ((-1, member.mirror_x), (-2, member.mirror_y)) if mirror]
    turn = (-1.0 if member.mirror_x else 1.0, -1.0 if member.mirror_y else 1.0)
    return HEADS[task.kind].reorient(task, x.flip(axes) if axes else x, turn, zoom)
