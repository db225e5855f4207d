"""The buffers of one query: allocated once for the largest shape, used for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.runtime.cuda.device import CudaGraph, CudaStream, Device, DeviceMemory, PinnedArray
from edgekit.runtime.preprocess import Feed
from edgekit.runtime.tensorrt.plan import LoadedPlan, Port

Shapes = dict[str, tuple[int, ...]]
"""Name of an input → its shape."""


class Slot:
    """Pinned and device memory of every input and output, and the events that order its steps.

    ``uploaded``, ``computed``, ``downloaded`` are recorded when the step is done.
    """

    def __init__(self, device: Device, plan: LoadedPlan, shapes: Shapes):
        """``shapes``: the largest of every input, by its name. The context is left with these."""
        self._device, self._plan = device, plan
        for name, port in plan.inputs.items():
            if tuple(plan.context.get_tensor_shape(name)) != shapes[name]:
                set_shape(plan, port, shapes[name])
        self._in = {name: _Buffer(device, port, shapes[name]) for name, port in plan.inputs.items()}
        self._out = {
            port.name: _Buffer(device, port, tuple(plan.context.get_tensor_shape(port.name)))
            for port in plan.outputs.values()
        }
        self.shapes = dict(shapes)
        self.uploaded, self.computed, self.downloaded = device.event(), device.event(), device.event()
        self.graph: CudaGraph | None = None

    def fill(self, feed: Feed) -> None:
        """Take over the inputs. Waits for nothing: the query before must be done."""
        for name, array in feed.items():
            self._in[name].view(array.shape)[...] = array
        self.shapes = shapes_of(feed)

    def upload(self, stream: CudaStream) -> None:
        for name, buffer in self._in.items():
            self._device.upload(buffer.memory, buffer.view(self.shapes[name]), stream)
        self.uploaded.record(stream)

    def compute(self, stream: CudaStream) -> None:
        """Queue the network. EdgekitError where TensorRT refuses."""
        if self.graph is not None:
            self.graph.launch(stream)
        else:
            self.bind()
            self.enqueue(stream)

    def bind(self) -> None:
        """Tell the context this slot's addresses and shapes."""
        context = self._plan.context
        for name, port in self._plan.inputs.items():
            shape = self.shapes[name]
            if port.shape != shape and tuple(context.get_tensor_shape(name)) != shape:
                set_shape(self._plan, port, shape)
            context.set_tensor_address(name, self._in[name].memory.address)
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


def shapes_of(feed: Feed) -> Shapes:
    return {name: array.shape for name, array in feed.items()}


def input_ranges(plan: LoadedPlan) -> tuple[Shapes, Shapes]:
    """Least and most shape of every input: its own twice, or those of the first profile."""
    least, most = {}, {}
    for name, port in plan.inputs.items():
        least[name] = most[name] = port.shape
        if any(side < 0 for side in port.shape):
            small, _, large = plan.engine.get_tensor_profile_shape(name, 0)
            least[name], most[name] = tuple(small), tuple(large)
    return least, most
