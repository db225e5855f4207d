"""The graph functions of libcuda over the fake pycuda, called with the ctypes arguments of the real ones."""

from __future__ import annotations

from typing import Any

INVALID_VALUE, CAPTURE_UNSUPPORTED = 1, 900


def _integer(argument: Any) -> int:
    return getattr(argument, "value", argument)


class FakeLibcuda:
    """``graphs``: handles of graphs and executables that have not been destroyed."""

    def __init__(self):
        self.graphs: dict[int, list] = {}
        self._next = 0x9000

    def _keep(self, work: list) -> int:
        self._next += 1
        self.graphs[self._next] = work
        return self._next

    def cuStreamBeginCapture_v2(self, stream, mode) -> int:
        import pycuda.driver as cuda

        if mode not in (0, 1, 2):
            return INVALID_VALUE
        cuda.stream_of(_integer(stream))._captured = []
        return 0

    def cuStreamEndCapture(self, stream, graph) -> int:
        import pycuda.driver as cuda

        stream = cuda.stream_of(_integer(stream))
        if stream._captured is None:
            return CAPTURE_UNSUPPORTED
        graph._obj.value, stream._captured = self._keep(stream._captured), None
        return 0

    def cuGraphInstantiateWithFlags(self, executable, graph, flags) -> int:
        executable._obj.value = self._keep(self.graphs[_integer(graph)])
        return 0

    def cuGraphLaunch(self, executable, stream) -> int:
        import pycuda.driver as cuda

        stream = cuda.stream_of(_integer(stream))
        for work in self.graphs[_integer(executable)]:
            stream.enqueue(work)
        return 0

    def cuGraphExecDestroy(self, executable) -> int:
        return 0 if self.graphs.pop(_integer(executable), None) is not None else INVALID_VALUE

    cuGraphDestroy = cuGraphExecDestroy

    def cuGetErrorString(self, code, text) -> int:
        text._obj.value = b"operation not permitted when stream is capturing" if code == 900 else b"invalid argument"
        return 0
