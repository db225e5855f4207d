"""Mixed precision where the device has it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

import torch
from torch import Tensor, nn

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


@contextmanager
def depthwise_in_fp32(network: nn.Module, precision: str, device_type: str) -> Iterator[None]:
    """While it lasts, depthwise convolutions that train on a CPU compute in fp32, whatever the precision of the rest.

    oneDNN's backward pass of them is several times slower in bf16, which would make a network of inverted residuals
    slower in mixed precision than in fp32.
    """
    mixed = device_type == "cpu" and resolve(precision, device_type) != torch.float32
    found = [m for m in network.modules() if mixed and isinstance(m, nn.Conv2d) and 1 < m.groups == m.in_channels]
    for convolution in found:
        convolution.forward = MethodType(_in_fp32, convolution)
    try:
        yield
    finally:
        for convolution in found:
            del convolution.forward


def _in_fp32(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return type(convolution).forward(convolution, x.float())


def _cpu_has_bf16() -> bool:
    # without the AVX-512 instructions oneDNN still takes bf16, at less than the speed of fp32
    return torch.ops.mkldnn._is_mkldnn_bf16_supported() and torch.cpu._is_avx512_bf16_supported()
