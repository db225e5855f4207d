"""Power mode and clocks at one moment: read before and after a measurement."""

from __future__ import annotations

from typing import Any

from edgekit.bench.telemetry.system import System
from edgekit.boards.clocks import Clocks, parse_clocks, read_clocks
from edgekit.boards.power import PowerMode, parse_power_mode


def current_mode(system: System) -> PowerMode | None:
    return parse_power_mode(system.run("nvpmodel", "-q").out) if system.has("nvpmodel") else None


def read_state(system: System) -> dict[str, Any]:
    """Power mode and clocks, ready for JSON; what is unknown is None.

    The clocks come from jetson_clocks, which needs root; without it the kernel's files give those of cores and GPU.
    """
    mode, clocks, source = current_mode(system), Clocks(), "jetson_clocks"
    if system.has("jetson_clocks"):
        shown = system.run("jetson_clocks", "--show")
        clocks = parse_clocks(shown.out) if shown.good else Clocks()
    if not clocks.domains:
        clocks, source = read_clocks(system.root), "sysfs"
    on = [clock for clock in clocks.domains if clock.online]
    locked = clocks.locked
    if locked is None and on:  # without a GPU the cores' clocks count
        locked = all(clock.locked for clock in on)
    return {
        "power_mode": mode.name if mode else None,
        "power_mode_id": mode.id if mode else None,
        "clocks_locked": locked,
        "clocks_from": source if clocks.domains else None,
        "clocks_mhz": {c.name: [hz if hz is None else hz / 1e6 for hz in (c.least, c.most, c.current)] for c in on},
    }
