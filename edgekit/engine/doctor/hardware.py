"""The machine: board, release, power, clocks, fan, memory, swap, disk."""

from __future__ import annotations

from edgekit.boards.table import Board, OldBoard, OldJetPack
from edgekit.engine.doctor.check import Check
from edgekit.engine.doctor.surroundings import Surroundings

GIB = 2**30
# How much a build needs is not known beforehand: CUDA and TensorRT take about 1 GiB before the first tactic is tried.
LEAST_MEMORY, EASY_MEMORY = 1.0 * GIB, 2.0 * GIB
SMALL_BOARD_GB = 8
LEAST_DISK, EASY_DISK = 0.25 * GIB, 2.0 * GIB


def board(found: Surroundings) -> Check:
    row = found.machine.board
    model = found.machine.model or "no device tree"
    if isinstance(row, OldBoard):
        return Check("board", "problem", row.title, f"not supported: {row.why}", "use an Orin, a Thor or a Xavier")
    if isinstance(row, Board):
        meaning = f"SM {row.sm}, {row.memory_gb} GB shared by CPU and GPU, {row.dla_cores} DLA cores"
        return Check("board", "ok", f"{row.title} ({row.name})", meaning)
    if found.machine.is_jetson:
        meaning = "a Jetson that edgekit has no row for, or whose memory does not identify it; limits are guessed"
        return Check("board", "warning", model, meaning, "name the board yourself where a command takes --board")
    meaning = "not a Jetson: an engine built here runs on this GPU only; engines for a board are built on the board"
    return Check("board", "note", model, meaning)


def release(found: Surroundings) -> Check:
    machine = found.machine
    if not machine.is_jetson:
        return Check("JetPack", "note", "none", "not a Jetson")
    value = f"JetPack {machine.jetpack_version or getattr(machine.jetpack, 'version', '?')}, L4T {machine.l4t or '?'}"
    if machine.jetpack is None:
        meaning = "a release that edgekit has no row for; what TensorRT can do is found out from TensorRT itself"
        return Check("JetPack", "warning", value, meaning, "update edgekit, or use JetPack 5.1 to 7.2")
    if isinstance(machine.jetpack, OldJetPack):
        fix = machine.jetpack.fix or "update the board to JetPack 5.1 or newer"
        return Check("JetPack", "problem", value, f"too old: {machine.jetpack.why}", fix)
    row = machine.jetpack
    meaning = f"ships TensorRT {row.tensorrt}, CUDA {row.cuda}, Python {row.python}"
    if isinstance(machine.board, Board) and row.version not in machine.board.jetpacks:
        runs = ", ".join(machine.board.jetpacks)
        return Check("JetPack", "warning", value, f"{meaning}; not known to run on this board", f"use JetPack {runs}")
    return Check("JetPack", "ok", value, meaning)


def power_mode(found: Surroundings) -> Check:
    mode = found.machine.power
    if not found.machine.is_jetson:
        return Check("power mode", "note", "none", "not a Jetson")
    if mode is None:
        fix = "sudo nvpmodel -q; in a container, run it on the host"
        return Check("power mode", "warning", "unknown", "numbers taken here cannot say in which mode", fix)
    value = mode.name if mode.id is None else f"{mode.name} (nvpmodel -m {mode.id})"
    if mode.name.upper().startswith("MAXN"):
        return Check("power mode", "ok", value, "the highest clocks of this board")
    meaning = "clocks are capped for this power: fast enough or not is to be measured in the mode that flies"
    return Check("power mode", "ok", value, meaning)


def clocks(found: Surroundings) -> Check:
    known = found.machine.clocks
    gpu = next((clock for clock in known.domains if clock.name.startswith("GPU")), None)
    if gpu is None:
        if found.machine.is_jetson:
            fix = "sudo jetson_clocks --show"
            return Check("clocks", "warning", "unknown", "numbers cannot say whether clocks moved", fix)
        return Check("clocks", "note", "unknown", "not a Jetson")
    value = f"GPU {gpu.least / 1e6:.0f} to {gpu.most / 1e6:.0f} MHz"
    if known.locked:
        emc = known.named("EMC")
        value = f"GPU {gpu.most / 1e6:.0f} MHz, locked"
        meaning = "numbers repeat" if emc else "numbers repeat; the memory's clock is shown to root alone"
        return Check("clocks", "ok", value, meaning)
    meaning = "clocks follow the load: latencies jitter, and a first frame is slow; building is not affected"
    return Check("clocks", "warning", value, meaning, "sudo jetson_clocks (until the next reboot)")


def fan(found: Surroundings) -> Check:
    if found.machine.fan:
        return Check("fan", "ok", found.machine.fan, "long runs stay cool if it can follow: bench flags throttling")
    if not found.machine.is_jetson:
        return Check("fan", "note", "unknown", "not a Jetson")
    meaning = "no fan that reports its speed; without one long runs throttle"
    return Check("fan", "note", "unknown", meaning, "watch temperatures with edgekit bench --soak")


def memory(found: Surroundings) -> Check:
    total, available = found.machine.memory.total, found.machine.memory.available
    if total is None or available is None:
        return Check("memory", "warning", "unknown", "/proc/meminfo does not say", "free -h")
    value = f"{available / GIB:.1f} of {total / GIB:.1f} GiB available"
    fix = "close what uses it; without a desktop a board has about 1 GiB more: sudo systemctl isolate multi-user.target"
    if available < LEAST_MEMORY:
        return Check("memory", "problem", value, "too little: a build would be killed half-way", fix)
    if available < EASY_MEMORY:
        return Check("memory", "warning", value, "little: a build may run out of memory", fix)
    return Check("memory", "ok", value, "enough to build; memory limits are set to fit")


def swap(found: Surroundings) -> Check:
    stated, free = found.machine.memory.swap_total, found.machine.memory.swap_free
    if stated is None:
        return Check("swap", "note", "unknown", "/proc/meminfo does not say")
    if stated:
        return Check("swap", "ok", f"{(free or 0) / GIB:.1f} of {stated / GIB:.1f} GiB free", "")
    row = found.machine.board
    if isinstance(row, Board) and row.memory_gb <= SMALL_BOARD_GB:
        meaning = f"none, on a board of {row.memory_gb} GB: a build that needs a little more is killed"
        fix = "sudo fallocate -l 4G /swap && sudo chmod 600 /swap && sudo mkswap /swap && sudo swapon /swap"
        return Check("swap", "warning", "none", meaning, fix)
    return Check("swap", "ok", "none", "not needed with this much memory")


def disk(found: Surroundings) -> Check:
    value = f"{found.free / GIB:.1f} GiB free in {found.folder}"
    if found.free < LEAST_DISK:
        return Check("disk", "problem", value, "too little for an engine and its timing cache", "free some space")
    if found.free < EASY_DISK:
        return Check("disk", "warning", value, "enough for an engine, little for recordings", "free some space")
    return Check("disk", "ok", value, "")
