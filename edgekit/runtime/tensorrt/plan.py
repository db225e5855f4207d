"""Loading a plan file: checked, deserialised, with its inputs and outputs named."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.runtime.cuda.device import Device
from edgekit.runtime.tensorrt.log import take_errors, tensorrt_logger
from edgekit.runtime.tensorrt.sidecar import Installed, Sidecar, check_sidecar

DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
"""TensorRT's data types that numpy has."""


@dataclass(frozen=True)
class Port:
    """An input or output of an engine. ``shape``: -1 for what a profile leaves open."""

    name: str
    dtype: Any
    shape: tuple[int, ...]


@dataclass
class LoadedPlan:
    """``engine`` and ``context`` are TensorRT's; ``runtime`` must outlive them."""

    runtime: Any
    engine: Any
    context: Any
    inputs: dict[str, Port]
    outputs: dict[str, Port]

    def close(self) -> None:
        # In this order: TensorRT wants the engine alive while a context is, and the runtime while an engine is.
        self.context = None
        self.engine = None
        self.runtime = None


def load_plan(
    trt: Any, device: Device, plan: Path, sidecar: Sidecar, source: Path, model_sha256: str | None
) -> LoadedPlan:
    """EdgekitError with the reason where the plan was built for something else, or TensorRT refuses it."""
    installed = Installed(trt.__version__, device.gpu.name, device.gpu.sm, platform.machine())
    content = check_sidecar(sidecar, plan, installed, source, model_sha256)
    return deserialise(trt, device, content, str(plan), sidecar.dla_core, sidecar.rebuild(source))


def deserialise(trt: Any, device: Device, content: bytes, where: str, dla_core: int | None, rebuild: str) -> LoadedPlan:
    """A plan's bytes as an engine with an execution context."""
    logger = tensorrt_logger(trt)
    logger.lines.clear()
    with device.current():
        runtime = _runtime(trt, logger, where)
        if dla_core is not None:
            if dla_core >= runtime.num_DLA_cores:
                raise EdgekitError(
                    f"the engine runs on DLA core {dla_core}, TensorRT sees {runtime.num_DLA_cores} of them here",
                    where=where,
                    fix=f"build it without DLA, or for a core there is: {rebuild}",
                )
            runtime.DLA_core = dla_core
        engine = runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise EdgekitError(
                f"TensorRT {trt.__version__} does not take the engine: {take_errors(logger) or 'it gives no reason'}",
                where=where,
                fix=f"build it again on this machine: {rebuild}",
            )
        context = create_context(trt, engine, device, where)
        inputs, outputs = _ports(trt, engine)
    return LoadedPlan(runtime, engine, context, inputs, outputs)


def _runtime(trt: Any, logger: Any, where: str) -> Any:
    try:
        return trt.Runtime(logger)
    except TypeError as error:  # how pybind11 says that the factory gave nothing
        raise EdgekitError(
            f"TensorRT {trt.__version__} cannot start: {take_errors(logger) or error}",
            where=where,
            fix="check that TensorRT fits CUDA and the driver (`edgekit doctor`), and that GPU memory is free",
        ) from error


def create_context(trt: Any, engine: Any, device: Device, where: str) -> Any:
    """An execution context. EdgekitError, with the memory that is free, where TensorRT makes none."""
    context = engine.create_execution_context()
    if context is None:
        raise EdgekitError(
            f"TensorRT cannot make an execution context: {take_errors(tensorrt_logger(trt)) or 'it gives no reason'}; "
            f"{device.memory_free() / 2**20:.0f} MiB of GPU memory are free",
            where=where,
            fix="close other programs, on a Jetson stop the desktop (`sudo init 3`), or build with a smaller "
            "--workspace",
        )
    return context


def _ports(trt: Any, engine: Any) -> tuple[dict[str, Port], dict[str, Port]]:
    inputs, outputs = {}, {}
    for i in range(engine.num_io_tensors):
        name = engine.get_tensor_name(i)
        dtype = engine.get_tensor_dtype(name).name
        if dtype not in DTYPES:
            raise EdgekitError(
                f"the engine's tensor '{name}' is {dtype}, which edgekit cannot hand over",
                where=name,
                fix="export the bundle again",
            )
        port = Port(name, np.dtype(DTYPES[dtype]), tuple(engine.get_tensor_shape(name)))
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        (inputs if is_input else outputs)[name] = port
    return inputs, outputs
