"""Memory: keep what is freed in the process, and say what to lower where it runs out."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from edgekit.errors import EdgekitError, first_line

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc not to hand every freed tensor back to the kernel; False where the C library is another one.

    A training step allocates and frees the same few large maps; by default each is a fresh mmap whose pages the kernel
    zeroes anew, which makes every step slower.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is None:
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 << 20))
    accepted = [mallopt(option, value) == 1 for option, value in settings]  # every option, also after a refusal
    return all(accepted)


@contextmanager
def enough_memory(doing: str, where: str, fix: str) -> Iterator[None]:
    """EdgekitError where memory runs out in the block, on a CPU or a GPU, instead of the allocator's own error."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _ran_out(error):
            raise
        raise EdgekitError(f"out of memory {doing}: {first_line(error)}", where=where, fix=fix) from error


def _ran_out(error: Exception) -> bool:
    # torch's CPU allocator has no error type of its own
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error)
