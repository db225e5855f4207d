"""Changing a Jetson's power mode and locking its clocks: needs root, and for some modes a reboot by the user."""

from __future__ import annotations

import re

from edgekit.bench.telemetry.state import current_mode
from edgekit.bench.telemetry.system import System
from edgekit.boards.files import text_or_empty
from edgekit.boards.power import PowerMode
from edgekit.errors import EdgekitError

_MODEL = re.compile(r"<\s*POWER_MODEL\s+ID=(\d{1,3})\s+NAME=(\S+)\s*>", re.ASCII)
_REBOOT = re.compile(r"reboot required", re.IGNORECASE)


class Interruption(Exception):
    """The suite cannot go on without its user; the message says what to do, after which it resumes."""


def parse_power_modes(text: str) -> list[PowerMode]:
    """The modes that ``/etc/nvpmodel.conf`` defines: ``< POWER_MODEL ID=0 NAME=MAXN >``."""
    return [PowerMode(name, int(number)) for number, name in _MODEL.findall(text)]


def find_mode(system: System, wanted: str) -> PowerMode:
    """The mode of a name or id. EdgekitError, listing the modes, for an unknown one, or where there is no nvpmodel."""
    if not system.has("nvpmodel"):
        raise EdgekitError(
            f"the power mode '{wanted}' is asked for, and this machine has no nvpmodel: it is not a Jetson",
            where="power_modes",
            fix="leave power_modes out",
        )
    modes = parse_power_modes(text_or_empty(system.root / "etc/nvpmodel.conf"))
    now = current_mode(system)
    if now and now.name not in [mode.name for mode in modes]:
        modes.append(now)
    for mode in modes:
        if wanted.upper() == mode.name.upper() or wanted == str(mode.id):
            return mode
    raise EdgekitError(
        f"there is no power mode '{wanted}' on this board",
        where="power_modes",
        fix=f"use some of {', '.join(f'{m.name} ({m.id})' for m in modes) or 'those that nvpmodel -p --verbose lists'}",
    )


def switch_to(system: System, mode: PowerMode) -> None:
    """Switch to ``mode`` and check it. Interruption where root or a reboot is needed. Never reboots by itself."""
    if _in(current_mode(system), mode):
        return
    command = f"sudo nvpmodel -m {mode.id}"
    if not system.is_root:
        raise Interruption(
            f"the next rows are for the power mode {mode.name}, and changing it needs root: run `{command}` (it may "
            "ask to reboot), then the same command as now; it goes on where it was"
        )
    # nvpmodel asks whether to reboot, and would wait for ever; the answer is no.
    said = system.run("nvpmodel", "-m", str(mode.id), answer="no\n")
    if _in(current_mode(system), mode):
        return
    text = f"{said.out}\n{said.err}"
    if _REBOOT.search(text):
        raise Interruption(
            f"the next rows are for the power mode {mode.name}, which needs a reboot: run `{command}`, answer YES, and "
            "after the reboot the same command as now; it goes on where it was"
        )
    last = (text.strip().splitlines() or ["it printed nothing"])[-1]
    raise EdgekitError(
        f"nvpmodel did not change the power mode to {mode.name}: {last}",
        where="power_modes",
        fix=f"try `{command}` by hand",
    )


def lock_clocks(system: System) -> str | None:
    """Hold the clocks at the mode's highest. Returns why that was not done, or None."""
    if not system.has("jetson_clocks"):
        return "the clocks were not locked: this machine has no jetson_clocks"
    if not system.is_root:
        return "the clocks were not locked, which needs root: run `sudo jetson_clocks` before, or the suite with sudo"
    done = system.run("jetson_clocks", timeout=60.0)
    if done.good:
        return None
    return f"the clocks were not locked: jetson_clocks failed: {(done.err or done.out).strip()[:200]}"


def _in(now: PowerMode | None, wanted: PowerMode) -> bool:
    return now is not None and (now.name == wanted.name if now.id is None or wanted.id is None else now.id == wanted.id)
