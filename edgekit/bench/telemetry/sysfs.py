"""Sensors from the kernel's files, where there is no ``tegrastats`` or no Jetson."""

from __future__ import annotations

import re
from pathlib import Path

from edgekit.bench.telemetry.reading import Reading
from edgekit.boards.clocks import read_clocks
from edgekit.boards.files import read_number, text_or_empty
from edgekit.boards.memory import read_memory

_POWER_CHIPS = ("ina3221", "ina238", "ina226", "ina219")
_GPU_LOADS = ("sys/devices/platform/gpu.0/load", "sys/devices/gpu.0/load", "sys/class/devfreq/*gpu*/device/load")


def read_sysfs(time: float, root: Path = Path("/")) -> Reading | None:
    """One reading at ``time``; None where nothing but the memory can be read. Files that cannot be read, as those
    of sensors that are off, are left out."""
    clocks = [c for c in read_clocks(root).domains if c.online and c.current is not None]
    memory = read_memory(root)
    load = next((v for pattern in _GPU_LOADS for f in root.glob(pattern) if (v := read_number(f)) is not None), None)
    reading = Reading(
        time=time,
        rails=_hwmon_rails(root),
        temperatures=_temperatures(root),
        gpu_load=None if load is None else load / 10,  # per mille
        gpu_mhz=max((c.current / 1e6 for c in clocks if c.name.startswith("GPU")), default=None),
        cpu_mhz=tuple(c.current / 1e6 for c in clocks if c.name.startswith("cpu")),
        ram=None if None in (memory.total, memory.available) else (memory.total - memory.available) / 2**20,
    )
    return None if not (reading.rails or reading.temperatures or reading.gpu_mhz or reading.cpu_mhz) else reading


def _temperatures(root: Path) -> dict[str, float]:
    found = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        name, value = text_or_empty(zone / "type"), read_number(zone / "temp")
        if name and value is not None and value > -200_000:
            found[name.removesuffix("-thermal").removesuffix("_thermal")] = value / 1000
    return found


def _hwmon_rails(root: Path) -> dict[str, float]:
    """Power per labelled channel in mW: from the chip where it multiplies itself, else volts times amperes."""
    found = {}
    for chip in sorted(root.glob("sys/class/hwmon/hwmon*")):
        if not text_or_empty(chip / "name").startswith(_POWER_CHIPS):
            continue
        for label in sorted(chip.glob("in[0-9]*_label")) + sorted(chip.glob("power[0-9]*_label")):
            name, channel = text_or_empty(label), re.sub(r"\D", "", label.name)
            watts, volts, amperes = (
                read_number(chip / f"{kind}{channel}_input") for kind in ("power", "in", "curr")
            )  # µW, mV, mA
            if watts is not None:
                power = watts / 1000
            elif volts is not None and amperes is not None:
                power = volts * amperes / 1000
            else:
                continue
            if name and name != "NC" and not name.lower().startswith("sum of"):
                found.setdefault(name, power)
    return found
