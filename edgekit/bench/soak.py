"""Running for a long time: does memory grow, does it get hot, does the 99th percentile drift?"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from edgekit.bench.machine import current_memory_mib
from edgekit.bench.stopwatch import BenchPlan, Series, measure
from edgekit.bench.telemetry.reading import Reading
from edgekit.bench.telemetry.sampler import Sampler
from edgekit.bench.telemetry.system import System
from edgekit.bench.telemetry.throttling import find_drops
from edgekit.errors import EdgekitError

WINDOWS = 60
LEAST_WINDOW = 5.0
SOAK_INTERVAL = 1.0  # seconds between sensor readings
DRIFT = 1.05
GROWTH_MIB, GROWTH_SHARE = 2.0, 0.01
BOARD_GROWTH_MIB = 64.0  # other programs move the board's memory too


@dataclass(frozen=True)
class Window:
    """A stretch of a soak, ``at`` seconds from the start to its end; times in ms, ``hottest`` °C, ``power`` mW.

    memory_mib  of this process. On a Jetson what the GPU holds is not in it, but in ``board_mib``, which is used by all
                programs; None where no sensor reports it
    """

    at: float
    count: int
    p50: float
    p99: float
    max: float
    memory_mib: float | None
    hottest: float | None
    power: float | None
    board_mib: float | None = None


@dataclass(frozen=True)
class Soak:
    """``drops``: clocks that fell under load, in words."""

    windows: Sequence[Window]
    drops: Sequence[str]

    @property
    def drift(self) -> float:
        """Median p99 of the last quarter's windows to that of the first quarter's."""
        values, quarter = [w.p99 for w in self.windows], max(1, len(self.windows) // 4)
        return median(values[-quarter:]) / median(values[:quarter])

    @property
    def growth_mib(self) -> float | None:
        """Memory of the last quarter minus that of the second: what is allocated at the start does not count."""
        return _growth(self.windows, "memory_mib")

    @property
    def board_growth_mib(self) -> float | None:
        """The same of the whole board's memory."""
        return _growth(self.windows, "board_mib")

    def marks(self) -> list[str]:
        """Sentences on what was not steady."""
        said = []
        if self.drift > DRIFT:
            said.append(f"soak: p99 drifted by {self.drift - 1:+.1%} from the first quarter to the last")
        held, growth = self.windows[-1].memory_mib, self.growth_mib
        if growth is not None and growth > max(GROWTH_MIB, GROWTH_SHARE * held):
            said.append(f"soak: memory grew by {growth:.1f} MiB from the second quarter to the last")
        board = self.board_growth_mib
        if board is not None and board > BOARD_GROWTH_MIB:
            said.append(
                f"soak: the board's memory grew by {board:.0f} MiB from the second quarter to the last: this program's "
                "on the GPU, or that of others"
            )
        return said + [f"soak: throttled: {drop}" for drop in self.drops]

    def as_json(self) -> dict[str, Any]:
        return {
            "seconds": round(self.windows[-1].at, 1),
            "p99_drift": round(self.drift, 4),
            "memory_growth_mib": None if self.growth_mib is None else round(self.growth_mib, 2),
            "board_memory_growth_mib": None if self.board_growth_mib is None else round(self.board_growth_mib, 2),
            "drops": list(self.drops),
            "windows": [{k: None if v is None else round(v, 4) for k, v in asdict(w).items()} for w in self.windows],
        }


def soak(
    once: Callable[[], Mapping[str, float]],
    seconds: float,
    system: System,
    *,
    progress: Callable[[float], None] = lambda done: None,
    memory: Callable[[], float | None] = current_memory_mib,
    **options: Any,
) -> Soak:
    """Run ``once`` for ``seconds``, in up to sixty windows of at least five seconds; only their summaries are kept.

    ``options`` go to ``measure``.
    """
    count = max(1, min(WINDOWS, math.floor(seconds / LEAST_WINDOW)))
    windows: list[Window] = []
    clocks: list[Reading] = []
    start = None
    with Sampler(system, SOAK_INTERVAL) as sampler:
        for index in range(count):
            # No warm-up: a soak follows a measurement, and a slow start belongs to it.
            series = measure(once, BenchPlan(0.0, seconds / count, 1), **options)
            start = series.began if start is None else start
            readings = sampler.take()
            # Without tegrastats there is no GPU, or it has memory of its own.
            board = sampler.source == "tegrastats"
            windows.append(_window(series, start, readings, memory(), board=board))
            # Only what shows throttling is kept of the readings, so that they themselves do not grow.
            clocks += [replace(r, rails={}, temperatures={}) for r in readings]
            progress((index + 1) / count)
    return Soak(windows, find_drops(clocks, start, start + windows[-1].at))


def _window(series: Series, start: float, readings: Sequence[Reading], memory: float | None, *, board: bool) -> Window:
    summary = series.summary("end_to_end")
    hottest = [max(r.temperatures.values()) for r in readings if r.temperatures]
    power = [r.power for r in readings if r.power is not None]
    ram = [r.ram for r in readings if board and r.ram is not None]
    return Window(
        series.ended - start,
        summary.count,
        summary.p50,
        summary.p99,
        summary.max,
        memory,
        max(hottest, default=None),
        sum(power) / len(power) if power else None,
        sum(ram) / len(ram) if ram else None,
    )


def parse_duration(text: str, where: str) -> float:
    """``90``, ``90s``, ``30m``, ``2h`` → seconds. EdgekitError for anything else, and for nothing."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smh]?)", text.strip(), re.ASCII)
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if seconds <= 0:
        raise EdgekitError(f"'{text}' is not a duration", where=where, fix="write seconds, or e.g. 90s, 30m, 2h")
    return seconds


def _growth(windows: Sequence[Window], name: str) -> float | None:
    """Median of the last quarter minus that of the second; None where a window has no value."""
    values, quarter = [getattr(w, name) for w in windows], max(1, len(windows) // 4)
    if None in values:
        return None
    return median(values[-quarter:]) - median(values[quarter : 2 * quarter] or values[:1])
