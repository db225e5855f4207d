"""The machine on which a number was measured."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import __version__
from edgekit.boards.files import text_or_empty
from edgekit.boards.memory import read_memory
from edgekit.runtime.cpu import usable_cores


def describe_machine(root: Path = Path("/")) -> dict[str, Any]:
    """Processor, cores, memory, system and versions, ready for JSON. ``root``: where /proc and /sys lie.

    What cannot be read is None.
    """
    memory = read_memory(root).total
    named = re.search(r"^(?:model name|Model)\s*:(.*)", text_or_empty(root / "proc/cpuinfo"), re.MULTILINE)
    return {
        "board": text_or_empty(root / "proc/device-tree/model") or None,
        "processor": named[1].strip() if named else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "governor": text_or_empty(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None,
        "memory_mib": None if memory is None else memory >> 20,
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "edgekit": __version__,
    }


def peak_memory_mib(root: Path = Path("/")) -> float | None:
    """The most memory that this process has held at once (VmHWM); None where Linux's /proc is missing.

    Not ``getrusage``: its ru_maxrss starts at what the parent held when it forked.
    """
    return _own_memory_mib(root, "VmHWM")


def current_memory_mib(root: Path = Path("/")) -> float | None:
    """The memory that this process holds now (VmRSS)."""
    return _own_memory_mib(root, "VmRSS")


def _own_memory_mib(root: Path, name: str) -> float | None:
    found = re.search(rf"^{name}:\s+(\d+) kB", text_or_empty(root / "proc/self/status"), re.MULTILINE | re.ASCII)
    return int(found[1]) / 1024 if found else None
