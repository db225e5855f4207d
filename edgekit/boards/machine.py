"""This machine: its board, release, power mode, clocks, fan and memory, as far as they can be read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.boards.clocks import Clocks, parse_clocks, read_clocks
from edgekit.boards.device_tree import identify, text_of
from edgekit.boards.files import text_or_empty
from edgekit.boards.lookup import find_jetpack, jetpack_of_l4t
from edgekit.boards.memory import Memory, read_memory
from edgekit.boards.power import PowerMode, parse_power_mode
from edgekit.boards.release import package_version, parse_l4t_release
from edgekit.boards.table import Board, JetPack, OldBoard, OldJetPack
from edgekit.errors import EdgekitError

RunCommand = Callable[[Sequence[str]], "str | None"]
_SECONDS = 10


@dataclass(frozen=True)
class Machine:
    """What can be read of a machine; None where nothing can.

    model            the device tree's name for it
    jetpack_version  as its packages state it ("6.2.1"), where they do
    jetpack          the row of the table, by the packages' version or else by L4T
    fan              its profile or its speed, in words
    """

    model: str | None
    board: Board | OldBoard | None
    l4t: str | None
    jetpack_version: str | None
    jetpack: JetPack | OldJetPack | None
    power: PowerMode | None
    clocks: Clocks
    fan: str | None
    memory: Memory

    @property
    def is_jetson(self) -> bool:
        return self.board is not None or self.l4t is not None


def read_machine(root: Path = Path("/"), run: RunCommand | None = None) -> Machine:
    """``root``: where /proc, /sys and /etc lie; ``run``: a command → what it printed, None where it could not run."""
    run = run or run_tool
    model = text_of(root / "proc/device-tree/model") or None
    compatible = text_of(root / "proc/device-tree/compatible")
    memory = read_memory(root)
    board = identify(model or "", compatible, memory.total)
    l4t = parse_l4t_release(text_or_empty(root / "etc/nv_tegra_release"))
    if l4t is None:
        l4t = package_version("nvidia-l4t-core", run(["dpkg-query", "--show", "nvidia-l4t-core"]) or "")
    version = package_version("nvidia-jetpack", run(["dpkg-query", "--show", "nvidia-jetpack"]) or "") if l4t else None
    tegra = board is not None or l4t is not None
    power = parse_power_mode(run(["nvpmodel", "-q"]) or "") if tegra else None
    clocks = parse_clocks(run(["jetson_clocks", "--show"]) or "") if tegra else Clocks()
    if not clocks.domains:  # for everyone but root
        clocks = Clocks(read_clocks(root).domains, clocks.fan)
    fan = power.fan if power and power.fan else clocks.fan or _fan(root)
    return Machine(model, board, l4t, version, _jetpack(version, l4t), power, clocks, fan, memory)


def run_tool(command: Sequence[str]) -> str | None:
    """What a command printed to stdout; None where it is missing, fails or takes more than ten seconds."""
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def _jetpack(version: str | None, l4t: str | None) -> JetPack | OldJetPack | None:
    if version is not None:
        try:
            return find_jetpack(version)
        except EdgekitError:
            pass  # a package newer than the table; L4T may still identify it
    return jetpack_of_l4t(l4t) if l4t else None


def _fan(root: Path) -> str | None:
    """The fan's speed, as its driver reports it."""
    for pwm in sorted(root.glob("sys/class/hwmon/hwmon*/pwm1")):
        if "fan" in text_or_empty(pwm.with_name("name")) and (value := text_or_empty(pwm)).isdigit():
            return f"pwm {value} of 255"
    return None
