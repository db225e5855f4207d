"""The buffers of one query: allocated once for the largest shape, used for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.runtime.cuda.device import CudaGraph, CudaStream, Device, DeviceMemory, PinnedArray
from edgekit.runtime.tensorrt.plan import LoadedPlan, Port


class Slot:
    """Pinned and device memory of the input and of every output, and the events that order its steps.

    ``uploaded``, ``computed``, ``downloaded`` are recorded when the step is done.
    """

    def __init__(self, device: Device, plan: LoadedPlan, shape: tuple[int, ...]):
        """``shape``: the largest of the input. The context is left with that shape."""
        self._device, self._plan = device, plan
        (self._input,) = plan.inputs.values()
        if tuple(plan.context.get_tensor_shape(self._input.name)) != shape:
            set_shape(plan, self._input, shape)
        self._in = _Buffer(device, self._input, shape)
        self._out = {
            port.name: _Buffer(device, port, tuple(plan.context.get_tensor_shape(port.name)))
            for port in plan.outputs.values()
        }
        self.shape = shape
        self.uploaded, self.computed, self.downloaded = device.event(), device.event(), device.event()
        self.graph: CudaGraph | None = None

    def fill(self, feed: np.ndarray) -> None:
        """Take over the input. Waits for nothing: the query before must be done."""
        self._in.view(feed.shape)[...] = feed
        self.shape = feed.shape

    def upload(self, stream: CudaStream) -> None:
        self._device.upload(self._in.memory, self._in.view(self.shape), stream)
        self.uploaded.record(stream)

    def compute(self, stream: CudaStream) -> None:
        """Queue the network. EdgekitError where TensorRT refuses."""
        if self.graph is not None:
            self.graph.launch(stream)
        else:
            self.bind()
            self.enqueue(stream)

    def bind(self) -> None:
        """Tell the context this slot's addresses and shape."""
        context = self._plan.context
        if self._input.shape != self.shape and tuple(context.get_tensor_shape(self._input.name)) != self.shape:
            set_shape(self._plan, self._input, self.shape)
        context.set_tensor_address(self._input.name, self._in.memory.address)
        for name, buffer in self._out.items():
            context.set_tensor_address(name, buffer.memory.address)
            buffer.shape = tuple(context.get_tensor_shape(name))

    def enqueue(self, stream: CudaStream) -> None:
        with self._device.current():
            if not self._plan.context.execute_async_v3(stream.handle):
                raise EdgekitError(
                    "TensorRT did not run the engine",
                    where="the GPU of this machine",
                    fix="see its messages above; close other programs that use the GPU, then try again",
                )

    def download(self, wanted: Sequence[str], stream: CudaStream) -> None:
        """Queue the copies of the outputs that were asked for, and of no other."""
        for name in wanted:
            buffer = self._out[name]
            self._device.download(buffer.view(buffer.shape), buffer.memory, stream)
        self.downloaded.record(stream)

    def outputs(self, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """Views of the pinned buffers, good until the slot is used again."""
        return {name: self._out[name].view(self._out[name].shape) for name in wanted}

    def drop_graph(self) -> None:
        if self.graph is not None:
            self.graph.free()
            self.graph = None


class _Buffer:
    """Pinned host memory and device memory of one tensor, as large as it gets."""

    def __init__(self, device: Device, port: Port, shape: tuple[int, ...]):
        count = int(np.prod(shape))
        self.shape = shape
        self.host: PinnedArray = device.pinned((count,), port.dtype)
        self.memory: DeviceMemory = device.allocate(max(1, self.host.array.nbytes))

    def view(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.host.array[: int(np.prod(shape))].reshape(shape)


def set_shape(plan: LoadedPlan, port: Port, shape: tuple[int, ...]) -> None:
    """EdgekitError where the context does not take ``shape``."""
    if not plan.context.set_input_shape(port.name, shape):
        raise EdgekitError(
            f"TensorRT does not take the shape {shape} for '{port.name}'",
            where=port.name,
            fix="export the bundle again with a profile that holds it, and build the engine from that",
        )


def input_range(plan: LoadedPlan) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Least and most shape of the input: its own twice, or those of the first profile."""
    (port,) = plan.inputs.values()
    if all(side >= 0 for side in port.shape):
        return port.shape, port.shape
    least, _, most = plan.engine.get_tensor_profile_shape(port.name, 0)
    return tuple(least), tuple(most)
