"""Keep freed memory in the process while training on a CPU."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc not to hand every freed tensor back to the kernel; False where the C library is another one.

    A training step allocates and frees the same few large maps; by default each is a fresh mmap whose pages the kernel
    zeroes anew. Measured on two cores with 192×288 crops: 1.4 times the steps per second.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 << 20))
    accepted = [mallopt(option, value) == 1 for option, value in settings]  # every option, also after a refusal
    return all(accepted)
