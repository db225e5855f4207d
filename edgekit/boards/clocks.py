"""Clocks: what ``jetson_clocks --show`` prints (for root), and what every user can read in sysfs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edgekit.boards.files import read_number


@dataclass(frozen=True)
class Clock:
    """One clock domain (``cpu0``, ``GPU``, ``EMC``, ``DLA0_CORE`` …), in Hz.

    online  False for a core that is switched off
    forced  EMC only: held at one frequency by the driver, whatever the limits say
    """

    name: str
    least: int
    most: int
    current: int | None
    online: bool = True
    forced: bool = False

    @property
    def locked(self) -> bool:
        """Whether this clock cannot change."""
        return self.forced or 0 < self.least == self.most


@dataclass(frozen=True)
class Clocks:
    """All clock domains that were listed, and the fan's line where there was one."""

    domains: tuple[Clock, ...] = ()
    fan: str | None = None

    def named(self, name: str) -> Clock | None:
        return next((clock for clock in self.domains if clock.name == name), None)

    @property
    def locked(self) -> bool | None:
        """Whether GPU, memory and the cores that are on all stay at one frequency; None where no GPU clock is known.

        Memory counts where it is listed: sysfs shows it to root alone.
        """
        gpu = [clock for clock in self.domains if clock.name.startswith("GPU")]
        if not gpu:
            return None
        others = [clock for clock in self.domains if clock.name == "EMC" or re.fullmatch(r"cpu\d+", clock.name)]
        return all(clock.locked for clock in [*gpu, *others] if clock.online)


_LINE = re.compile(r"^[ \t]*(cpu\d+|[A-Za-z][\w-]*)[ \t]*:?[ \t]+(?=[^\r\n]*\bMaxFreq=)", re.MULTILINE | re.ASCII)
_FIELD = re.compile(r"\b(Online|MinFreq|MaxFreq|CurrentFreq|FreqOverride)=(\d{1,12})\b", re.ASCII)
_FAN = re.compile(r"^[ \t]*FAN\b[ \t:]*(\S[^\r\n]*?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_KILO = 1000


def parse_clocks(text: str) -> Clocks:
    """From the output of ``jetson_clocks --show``; no domains where it printed none (no rights, not a Jetson).

    CPU lines are in kHz there, all others in Hz. A line that is cut off before it ends is left out.
    """
    domains = []
    for line in text.splitlines():
        start = _LINE.match(line)
        values = {name: int(value) for name, value in _FIELD.findall(line)}
        if not start or not {"MinFreq", "MaxFreq", "CurrentFreq"} <= set(values):
            continue
        name = start[1]
        unit = _KILO if re.fullmatch(r"cpu\d+", name) else 1
        domains.append(
            Clock(
                name,
                unit * values["MinFreq"],
                unit * values["MaxFreq"],
                unit * values["CurrentFreq"],
                values.get("Online", 1) != 0,
                values.get("FreqOverride", 0) != 0,
            )
        )
    fan = _FAN.search(text)
    return Clocks(tuple(domains), fan[1] if fan else None)


def read_clocks(root: Path = Path("/")) -> Clocks:
    """CPU and GPU clocks from sysfs under ``root``; what is missing is left out."""
    domains = []
    cpus = root / "sys/devices/system/cpu"
    for folder in sorted(cpus.glob("cpu[0-9]*"), key=lambda path: (len(path.name), path.name)):
        scaling = folder / "cpufreq"
        online = read_number(folder / "online") != 0  # cpu0 has no such file: it cannot be switched off
        least, most = read_number(scaling / "scaling_min_freq"), read_number(scaling / "scaling_max_freq")
        if least is not None and most is not None:
            current = read_number(scaling / "scaling_cur_freq")
            now = None if current is None else _KILO * current
            domains.append(Clock(folder.name, _KILO * least, _KILO * most, now, online))
    for folder in sorted((root / "sys/class/devfreq").glob("*")):
        if not re.search(r"gpu|gv11b|ga10b|gp10b|gpc", folder.name):
            continue
        least, most = read_number(folder / "min_freq"), read_number(folder / "max_freq")
        if least is not None and most is not None:
            domains.append(Clock("GPU", least, most, read_number(folder / "cur_freq")))
    return Clocks(tuple(domains))
