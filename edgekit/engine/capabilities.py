"""What the installed TensorRT and the GPU can do, read from the objects themselves and not from a version table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.runtime.cuda.device import Device
from edgekit.runtime.tensorrt.log import take_errors, tensorrt_logger


@dataclass(frozen=True)
class Capabilities:
    """tensorrt     its version
    weak         builder flags choose fp16 and int8 (gone in 11)
    strong       networks may be strongly typed (from 10)
    calibration  int8 ranges can be given beside the network, by a cache or a calibrator (gone in 11)
    fast_int8    whether the GPU has int8 units; None where TensorRT no longer reports it
    dla_cores    that TensorRT sees
    gpu, sm, driver, cuda, memory_free  of the GPU, see ``edgekit.runtime.cuda.device.GPU``
    """

    tensorrt: str
    weak: bool
    strong: bool
    calibration: bool
    fast_int8: bool | None
    dla_cores: int
    gpu: str
    sm: str
    driver: str
    cuda: str
    memory_free: int


def make_builder(trt: Any) -> Any:
    """A builder. EdgekitError, with TensorRT's message, if it cannot be created."""
    logger = tensorrt_logger(trt)
    try:
        return trt.Builder(logger)
    except TypeError as error:  # how pybind11 says that the factory gave nothing
        raise EdgekitError(
            f"TensorRT {trt.__version__} cannot start: {take_errors(logger) or error}",
            where="TensorRT on this machine",
            fix="check that TensorRT fits the installed CUDA and driver (on a Jetson both come with JetPack), and that "
            "GPU memory is free",
        ) from error


def probe(trt: Any, device: Device) -> Capabilities:
    with device.current():
        builder = make_builder(trt)
        return Capabilities(
            tensorrt=trt.__version__,
            weak=hasattr(trt.BuilderFlag, "FP16") and hasattr(trt.BuilderFlag, "INT8"),
            strong=hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"),
            calibration=hasattr(trt, "IInt8EntropyCalibrator2"),
            fast_int8=getattr(builder, "platform_has_fast_int8", None),
            dla_cores=builder.num_DLA_cores,
            gpu=device.gpu.name,
            sm=device.gpu.sm,
            driver=device.gpu.driver,
            cuda=device.gpu.cuda,
            memory_free=device.memory_free(),
        )
