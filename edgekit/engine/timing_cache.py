"""What TensorRT measured while building, kept so that the next build is faster and chooses the same kernels.

A timing cache is valid for one TensorRT version on one GPU; a key file beside it records which.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from edgekit.engine.capabilities import Capabilities
from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, cache_folder, make_cache, write_text


def default_path(can: Capabilities) -> Path:
    gpu = re.sub(r"[^a-z0-9]+", "-", can.gpu.lower()).strip("-")
    return make_cache(cache_folder() / "tensorrt-timing") / f"{can.tensorrt}-{gpu}-sm{can.sm}.timing"


def key_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _key(can: Capabilities) -> dict[str, str]:
    return {"tensorrt": can.tensorrt, "gpu": can.gpu, "sm": can.sm}


def attach_timing_cache(config: Any, path: Path, can: Capabilities) -> bool:
    """Give the builder the cache at ``path``, or a new one; returns whether there was one.

    EdgekitError where the file belongs to another version or GPU, or is damaged.
    """
    content = b""
    if path.exists():
        try:
            content = path.read_bytes()
            found = json.loads(key_path(path).read_text())
        except (OSError, ValueError) as error:
            raise EdgekitError(f"the timing cache cannot be read: {error}", where=str(path), fix=_fix(path)) from None
        if found != _key(can):
            said = ", ".join(f"{k} {v}" for k, v in found.items()) if isinstance(found, dict) else found
            here = ", ".join(f"{k} {v}" for k, v in _key(can).items())
            raise EdgekitError(f"the timing cache is of {said}; here it is {here}", where=str(path), fix=_fix(path))
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False):
        raise EdgekitError("TensorRT does not take the timing cache", where=str(path), fix=_fix(path))
    return bool(content)


def _fix(path: Path) -> str:
    return f"choose another --timing-cache, or start anew: rm {path} {key_path(path)}"


def save_timing_cache(config: Any, path: Path, can: Capabilities) -> None:
    """Write the builder's measurements to ``path``."""
    cache = config.get_timing_cache()
    if cache is None:
        return
    write_text(key_path(path), json.dumps(_key(can)) + "\n")
    with atomic_write(path) as part:
        part.write_bytes(bytes(cache.serialize()))
