"""The trtexec command that measures what ``edgekit bench`` measured, so that the two can be compared."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import numpy as np

from edgekit.bench.statistics import PERCENTILES
from edgekit.bench.stopwatch import BenchPlan


def trtexec_command(
    engine: str,
    plan: BenchPlan,
    version: str,
    *,
    cuda_graph: bool,
    shapes: dict[str, Sequence[int]] | None = None,
    dla_core: int | None = None,
) -> str:
    """A line for a shell, for the trtexec of the TensorRT ``version`` ("10.3.0").

    Its help speaks of whole seconds and milliseconds; it reads both as floating-point numbers, so that what was asked
    of `edgekit bench` goes into the line as it was asked.

    What differs between versions is pinned. Up to 10, data transfers are on and CUDA graphs and spinning are off by
    default. From 11 it is the other way round, and the flags that turn the one on and the others off are new.
    """
    words = [
        "trtexec",
        f"--loadEngine={engine}",
        f"--warmUp={np.format_float_positional(1000 * plan.warm_up, precision=6, trim='-')}",
        f"--duration={np.format_float_positional(plan.duration, precision=6, trim='-')}",
        f"--iterations={plan.runs}",
        f"--percentile={','.join(map(str, PERCENTILES))}",
    ]
    if dla_core is not None:  # else the engine is put on core 0, whichever it was built for
        words.append(f"--useDLACore={dla_core}")
    if shapes:
        words.append("--shapes=" + ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items()))
    if int(version.partition(".")[0]) >= 11:
        words += ["--includeDataTransfers", "--noSpinWait", *([] if cuda_graph else ["--noCudaGraph"])]
    elif cuda_graph:
        words.append("--useCudaGraph")
    return shlex.join(words)
