"""Power mode and clocks at one moment: read before and after a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.bench.telemetry.system import System
from edgekit.boards.clocks import Clocks, parse_clocks, read_clocks
from edgekit.boards.power import PowerMode, parse_power_mode


@dataclass(frozen=True)
class PowerState:
    """``mode`` None: no nvpmodel here. ``source``: where the clocks are from; None where they are unknown."""

    mode: PowerMode | None
    clocks: Clocks
    source: str | None

    @property
    def locked(self) -> bool | None:
        """Whether the clocks cannot change; None where nothing is known. Without a GPU the cores' clocks count."""
        if self.clocks.locked is not None:
            return self.clocks.locked
        on = [clock for clock in self.clocks.domains if clock.online]
        return all(clock.locked for clock in on) if on else None

    def as_json(self) -> dict[str, Any]:
        return {
            "power_mode": self.mode.name if self.mode else None,
            "power_mode_id": self.mode.id if self.mode else None,
            "clocks_locked": self.locked,
            "clocks_from": self.source,
            "clocks_mhz": {
                c.name: [hertz if hertz is None else hertz / 1e6 for hertz in (c.least, c.most, c.current)]
                for c in self.clocks.domains
                if c.online
            },
        }


def current_mode(system: System) -> PowerMode | None:
    return parse_power_mode(system.run("nvpmodel", "-q").out) if system.has("nvpmodel") else None


def read_state(system: System) -> PowerState:
    """From jetson_clocks, which needs root; without it the kernel's files give the clocks of cores and GPU."""
    mode = current_mode(system)
    if system.has("jetson_clocks"):
        shown = system.run("jetson_clocks", "--show")
        clocks = parse_clocks(shown.out) if shown.good else Clocks()
        if clocks.domains:
            return PowerState(mode, clocks, "jetson_clocks")
    clocks = read_clocks(system.root)
    return PowerState(mode, clocks, "sysfs" if clocks.domains else None)
