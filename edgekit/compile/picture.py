"""A picture of a graph cut into kernels: one box per kernel in the order they run, and who reads from whom."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from edgekit.compile.kernels import EngineKernel
from edgekit.report.plots import SequenceStep, steps

_SHOWN = 3  # nodes named in a box
_KINDS = {"kgen": "pointwise", "runtime_fusion": "fused at load time", "correlation": "convolution"}


def picture(kernels: Sequence[EngineKernel], title: str) -> Figure:
    """Boxes from the top down, coloured by the type that the kernel reads."""
    maker: dict[str, int] = {}
    found = []
    for place, kernel in enumerate(kernels):
        sources = tuple(dict.fromkeys(maker[t.name] for t in kernel.reads if t.name in maker))
        maker.update((tensor.name, place) for tensor in kernel.writes)
        found.append(
            SequenceStep(
                f"{_KINDS.get(kernel.kind, kernel.kind)}: {_nodes(kernel)}", _types(kernel), _series(kernel), sources
            )
        )
    return steps(found, title, ("INT8", "FP16", "FP32", "other"))


def _nodes(kernel: EngineKernel) -> str:
    named = [name for name in kernel.nodes if not name.endswith(("quantize", "dequantize"))] or list(kernel.nodes)
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return (", ".join(named[:_SHOWN]) or kernel.name) + more


def _types(kernel: EngineKernel) -> str:
    reads, writes = (
        "+".join(dict.fromkeys(t.type for t in tensors)) or "–" for tensors in (kernel.reads, kernel.writes)
    )
    return f"{reads} → {writes}"


def _series(kernel: EngineKernel) -> str:
    return kernel.precision if kernel.precision in ("INT8", "FP16", "FP32") else "other"
