"""How much memory a build may use. TensorRT's own limits are most of the memory, and on a Jetson the CPU's is the same:
a board of 4 or 8 GB kills the build then."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import EdgekitError

MIB = 1 << 20
KEPT_FREE = 384 * MIB  # for the rest of the system, and for TensorRT's own libraries
LEAST = 256 * MIB
MOST_WORKSPACE = 1024 * MIB  # a student under a million parameters never needs more
MOST_TACTICS = 4096 * MIB


@dataclass(frozen=True)
class MemoryLimits:
    """Bytes. workspace: scratch memory of a layer; tactics: what trying kernels may take at once."""

    workspace: int
    tactics: int


def limits(
    gpu_free: int, system_available: int | None, workspace: int | None = None, *, shared: bool = False
) -> MemoryLimits:
    """Limits that fit what is free now. ``workspace``: the user's choice of it.

    shared  the GPU has no memory of its own, as on a Jetson. There CUDA counts the kernel's file cache as used,
            though the kernel frees it on demand: after copying a bundle little seems free. The system's count is right

    EdgekitError where there is not enough for any build.
    """
    free = gpu_free if system_available is None else system_available if shared else min(gpu_free, system_available)
    room = free - KEPT_FREE
    if room < LEAST:
        raise EdgekitError(
            f"too little memory to build: {free // MIB} MiB are free, {(KEPT_FREE + LEAST) // MIB} MiB are needed",
            where="the memory of this machine",
            fix="stop the desktop (`sudo init 3`) and other programs, or add swap "
            "(`sudo fallocate -l 4G /swap && sudo chmod 600 /swap && sudo mkswap /swap && sudo swapon /swap`)",
        )
    if workspace is not None and workspace > room:
        raise EdgekitError(
            f"a workspace of {workspace // MIB} MiB does not fit: {free // MIB} MiB are free",
            where="--workspace",
            fix=f"use --workspace {room // MIB} or less, or leave it out",
        )
    chosen = workspace or min(MOST_WORKSPACE, room // 4)
    return MemoryLimits(workspace=chosen, tactics=max(chosen, min(MOST_TACTICS, room // 2)))
