"""Lines of ``tegrastats``, of every JetPack: names and forms differ, and what is not understood is left out."""

from __future__ import annotations

import re

from edgekit.bench.telemetry.reading import Reading

_NUMBER = r"\d{1,9}"
_RAM = re.compile(rf"\bRAM ({_NUMBER})/({_NUMBER})MB", re.ASCII)
# CPU [25%@921,13%@921,off,off], and one clock for all behind the bracket on the oldest boards
_CPU = re.compile(rf"\bCPU \[([^\]]*)\](?:@({_NUMBER}))?", re.ASCII | re.IGNORECASE)
_CORE = re.compile(rf"({_NUMBER})%(?:@({_NUMBER}))?", re.ASCII)
# GR3D_FREQ 10%@1300 | 12%@[1300,1300] | @[1000,1000] | 10%
_LOAD_AND_CLOCK = r"[ ]*(?:({n})%)?(?:@(?:({n})|\[([\d, ]*)\]))?".replace("{n}", _NUMBER)
_GPU = re.compile(rf"\bGR3D(?:_FREQ)? {_LOAD_AND_CLOCK}", re.ASCII)
_EMC = re.compile(rf"\bEMC(?:_FREQ)? {_LOAD_AND_CLOCK}", re.ASCII)
_TEMPERATURE = re.compile(r"\b([A-Za-z][\w-]*)@(-?\d{1,4}(?:\.\d{1,6})?)C\b", re.ASCII)
# VDD_IN 4320mW/4310mW (now/average), and POM_5V_IN 2063/2063 on boards that leave the unit out
_RAIL = re.compile(rf"\b([A-Za-z]\w*) (-?{_NUMBER})(mW)?/-?{_NUMBER}(?![\w.])(?:mW)?", re.ASCII)
_RAIL_MW = re.compile(rf"\b([A-Za-z]\w*) (-?{_NUMBER})mW(?:/-?{_NUMBER}(?:mW)?)?", re.ASCII)
_OFF = -200.0  # a sensor that is off reads -256C
_NO_RAIL = ("NC", "RAM", "SWAP", "IRAM")


def parse_tegrastats(line: str, time: float) -> Reading | None:
    """One line, read at ``time``; None where nothing in it is known. Never raises, whatever the text."""
    ram, cpu = _RAM.search(line), _CPU.search(line)
    loads, clocks = _cores(cpu)
    gpu_load, gpu_mhz = _load_and_clock(_GPU.search(line))
    emc_load, emc_mhz = _load_and_clock(_EMC.search(line))
    reading = Reading(
        time=time,
        rails=_rails(line),
        temperatures={m[1]: float(m[2]) for m in _TEMPERATURE.finditer(line) if float(m[2]) > _OFF},
        gpu_load=gpu_load,
        gpu_mhz=gpu_mhz,
        cpu_load=loads,
        cpu_mhz=clocks,
        emc_load=emc_load,
        emc_mhz=emc_mhz,
        ram=float(ram[1]) if ram else None,
    )
    return None if reading == Reading(time) else reading


def _cores(match: re.Match[str] | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if match is None:
        return (), ()
    cores = list(_CORE.finditer(match[1]))
    clocks = [core[2] or match[2] for core in cores]
    return tuple(float(core[1]) for core in cores), tuple(float(clock) for clock in clocks if clock)


def _load_and_clock(match: re.Match[str] | None) -> tuple[float | None, float | None]:
    if match is None:
        return None, None
    load, clock, clusters = match.groups()
    clocks = [clock] if clock else [c for c in re.split(r"[, ]+", clusters or "") if c]
    return float(load) if load else None, max((float(c[:9]) for c in clocks), default=None)


def _rails(line: str) -> dict[str, float]:
    rails = {}
    for pattern in (_RAIL, _RAIL_MW):
        for match in pattern.finditer(line):
            if match[1] not in _NO_RAIL:
                rails.setdefault(match[1], float(match[2]))
    return rails
