"""Where a number was taken: without this it means little."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import __version__


def describe_machine(root: Path = Path("/")) -> dict[str, Any]:
    """Processor, cores, memory, system and versions, ready for JSON. ``root``: where /proc and /sys lie.

    What the system does not tell is None.
    """
    return {
        "board": _text(root / "proc/device-tree/model"),
        "processor": _processor(root),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_mib": _memory_mib(root),
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "edgekit": __version__,
    }


def peak_memory_mib(root: Path = Path("/")) -> float | None:
    """The most memory that this process has held at once (VmHWM); None where Linux's /proc is not there.

    Not ``getrusage``: its ru_maxrss starts at what the parent held when it forked.
    """
    kib = _field(root / "proc/self/status", "VmHWM")
    return None if kib is None else kib / 1024


def current_memory_mib(root: Path = Path("/")) -> float | None:
    """The memory that this process holds now (VmRSS)."""
    kib = _field(root / "proc/self/status", "VmRSS")
    return None if kib is None else kib / 1024


def _processor(root: Path) -> str:
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def _memory_mib(root: Path) -> int | None:
    kib = _field(root / "proc/meminfo", "MemTotal")
    return None if kib is None else kib // 1024


def _field(path: Path, name: str) -> int | None:
    """The number in a line ``name: 123 kB``."""
    for line in (_text(path) or "").splitlines():
        key, _, value = line.partition(":")
        if key == name and value.split()[:1] and value.split()[0].isdigit():
            return int(value.split()[0])
    return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return None
