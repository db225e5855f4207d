"""The multi-modal network: all modalities in on the channel axis, all of them and the tasks out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.networks import FAMILIES
from edgekit.tasks import Task, kind_of
from edgekit.teachers.config import MemberConfig


class MultiModal(nn.Module):
    """One pass of PHG-MAE: visible modalities → every modality and every task.

    As in the published code, the input has the channels of the output: a slot per modality, and a slot per task that
    stays zero (left out for families with ``task_slots = False``). Hidden, missing and invalid values are zero *after*
    standardisation, which is the mean.
    ``statistics``: per modality (mean, std), each (C,) in network units; a pretrained family has its own for rgb
    (``rgb_statistics``).
    """

    def __init__(
        self,
        member: MemberConfig,
        modalities: Sequence[Task],
        tasks: Sequence[Task],
        statistics: dict[str, tuple[Sequence[float], Sequence[float]]],
    ):
        super().__init__()
        self.modalities = list(modalities)
        self.tasks = list(tasks)
        self.sizes = {t.name: kind_of(t).channels(t) for t in [*modalities, *tasks]}
        family = FAMILIES[member.family]
        slots = sum(self.sizes[t.name] for t in self.tasks)
        channels = sum(self.sizes.values())
        self._slots = slots if getattr(family, "task_slots", True) else 0
        self.network = family(channels - slots + self._slots, channels, **member.shape())
        if hasattr(self.network, "rgb_statistics"):
            statistics = {**statistics, "rgb": self.network.rgb_statistics}
        for i, name in enumerate(("mean", "deviation")):
            values = [value for task in self.modalities for value in statistics[task.name][i]]
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[:, None, None])

    def channels(self) -> dict[str, Tensor]:
        """Name → the channels of its slot, the same in input and output."""
        return dict(
            zip(self.sizes, torch.arange(sum(self.sizes.values())).split(list(self.sizes.values())), strict=True)
        )

    def standardise(self, inputs: dict[str, Tensor]) -> Tensor:
        """Modalities (N, C, H, W) in network units → (N, ΣC, H, W) with NaN where a value is missing or invalid."""
        return (torch.cat([inputs[t.name] for t in self.modalities], dim=1) - self.mean) / self.deviation

    def forward(self, standardised: Tensor, visible: Tensor) -> dict[str, Tensor]:
        """``visible`` (N, M) or (M,) bool → raw output per modality (standardised) and task, at its stride."""
        seen = torch.repeat_interleave(
            visible.to(standardised.device),
            torch.tensor([self.sizes[t.name] for t in self.modalities], device=standardised.device),
            dim=-1,
        )
        x = standardised.nan_to_num(nan=0.0) * seen[..., None, None]
        # The slots of the tasks are zero in the input. Padding the permuted tensor gives channels-last memory in
        # a third of the time that concatenating maps of zeros takes.
        x = F.pad(x.permute(0, 2, 3, 1), (0, self._slots)).permute(0, 3, 1, 2)
        return dict(zip(self.sizes, self.network(x).split(list(self.sizes.values()), dim=1), strict=True))
