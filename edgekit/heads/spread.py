"""Streaming mean and spread of bounded values (Welford, Technometrics 1962)."""

from __future__ import annotations

from torch import Tensor


class SpreadAggregate:
    """Mean of values in [0, 1]; disagreement = twice their standard deviation, which is at most 1/2."""

    def __init__(self) -> None:
        self.members = 0
        self._mean: Tensor | None = None
        self._m2: Tensor | None = None

    def add(self, soft: Tensor) -> None:
        self.members += 1
        if self._mean is None:
            self._mean = soft.clone()
            self._m2 = soft.new_zeros(soft.shape)
            return
        delta = soft - self._mean
        self._mean += delta / self.members
        self._m2 += delta * (soft - self._mean)

    def mean(self) -> Tensor:
        return self._mean

    def disagreement(self) -> Tensor:
        deviation = (self._m2 / self.members).clamp(min=0.0).sqrt()
        return (2.0 * deviation).clamp(max=1.0).mean(dim=1)
