"""The teacher's loss: predict the labelled tasks and reconstruct hidden modalities, in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.data.batches import Batch
from edgekit.heads import Supervision
from edgekit.heads.head import masked_mean
from edgekit.teachers.config import TeacherConfig
from edgekit.teachers.masking import draw_visible
from edgekit.teachers.multimodal import MultiModal
from edgekit.training.precision import autocast


class TeacherObjective:
    """Each frame of each batch gets its own masking, a function of the seed and the step."""

    def __init__(
        self,
        network: MultiModal,
        config: TeacherConfig,
        weights: Mapping[str, float],
        seed: int,
        class_weights: Mapping[str, Sequence[float]] | None = None,
    ):
        self._network = self.forward = network
        self._config = config
        self._supervision = Supervision(weights, class_weights)
        self._seed = seed
        self._last: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        network = self._network
        clean = network.standardise(batch.inputs)
        names = [t.name for t in network.modalities]
        rng = np.random.default_rng([self._seed, 3, batch.step, batch.part])
        visible = torch.from_numpy(
            np.stack([draw_visible(rng, names, self._config.masking) for _ in range(clean.shape[0])])
        )
        with autocast(self._config.train.precision, clean.device.type):
            raw = self.forward(clean, visible)
        raw = {name: value.float() for name, value in raw.items()}
        terms = {}
        for task in network.tasks:
            terms[task.name] = self._supervision(task, raw[task.name], batch.labels[task.name])
        terms |= self._more_terms(batch, raw)
        if self._config.reconstruct.weight:
            terms["reconstruct"] = self._config.reconstruct.weight * self._reconstruction(raw, clean, visible)
        self._last = terms
        return terms

    def _more_terms(self, batch: Batch, raw: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a subclass adds."""
        return {}

    def scores(self) -> dict[str, float]:
        return self._supervision.scores(self._last)

    def _reconstruction(self, raw: dict[str, Tensor], clean: Tensor, visible: Tensor) -> Tensor:
        """Mean L1 over the scored modalities, each counting the same however many channels it has."""
        outputs = [raw[task.name] for task in self._network.modalities]
        targets = clean
        if outputs[0].shape[-2:] != clean.shape[-2:]:
            targets = F.adaptive_avg_pool2d(clean, outputs[0].shape[-2:])  # all at once: slices are not contiguous
        targets = targets.split([self._network.sizes[task.name] for task in self._network.modalities], dim=1)
        losses = []
        for m, (output, target) in enumerate(zip(outputs, targets, strict=True)):
            scored = torch.isfinite(target)
            if self._config.reconstruct.on == "hidden":
                scored = scored & ~visible[:, m].to(clean.device)[:, None, None, None]
            losses.append(masked_mean((output - target.nan_to_num()).abs(), scored))
        return torch.stack(losses).mean()
