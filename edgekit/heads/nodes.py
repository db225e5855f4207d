"""What a head builds an output of a graph with: ``edgekit.export.outputs`` implements it for ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Nodes(Protocol):
    """Appends nodes behind the logits of one task; every tensor is float32 and known by its name."""

    def logits(self) -> str:
        """The task's logits (N, C, h, w) at the network's resolution."""

    def large_logits(self) -> str:
        """Logits that decide: at the network's resolution, or interpolated to the input's size, as was asked for."""

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append an ONNX operator; ``output`` is the tensor's name below the task's."""

    def constant(self, name: str, value: Any) -> str:
        """A constant, float32; of the same name and value in every task."""

    def own_constant(self, name: str, value: float) -> str:
        """A constant of this task."""

    def as_float(self, tensor: str, output: str) -> str:
        """A tensor of another type as float32."""

    def channel_sum(self, tensor: str, output: str) -> str:
        """(N, C, …) → (N, 1, …)."""

    def powers(self, logits: str) -> tuple[str, str]:
        """exp(logit − the largest), (N, C, …), and their sum over the channels, (N, 1, …)."""

    def decided(self, tensor: str) -> str:
        """What was decided of ``large_logits``, (N, 1, …), as (N, H, W) at the input's size."""

    def squeeze(self, tensor: str) -> str:
        """(N, 1, h, w) → (N, h, w)."""
