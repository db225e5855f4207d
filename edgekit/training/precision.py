"""Mixed precision where the device has it."""

from __future__ import annotations

import functools

import torch

from edgekit.training.distributed import local_rank


def device() -> torch.device:
    """This process's CUDA device, else the CPU."""
    return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")


@functools.cache
def resolve(precision: str, device_type: str) -> torch.dtype:
    """The type that ``auto`` means on a device: bf16 where it is native (there it halves the time), else fp32."""
    if precision != "auto":
        return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device_type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if _cpu_has_bf16() else torch.float32


def autocast(precision: str, device_type: str) -> torch.autocast:
    """An autocast context for a forward pass."""
    dtype = resolve(precision, device_type)
    return torch.autocast(device_type, dtype, enabled=dtype != torch.float32)


def _cpu_has_bf16() -> bool:
    # without the AVX-512 instructions oneDNN still takes bf16, at less than the speed of fp32
    return torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()
