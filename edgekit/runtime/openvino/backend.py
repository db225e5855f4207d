"""The OpenVINO backend: the CPU's files of a bundle, compiled for this CPU as they are opened."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.runtime.cpu import CpuBackend
from edgekit.runtime.preprocess import Feed

_TELEMETRY = "openvino_telemetry"


class OpenVino(CpuBackend):
    """An OpenVINO request for each set of outputs that was asked for: what leads to no other is not computed."""

    name = package = "openvino"
    extra = "openvino"
    line = -1
    lanes = ("onnxruntime",)

    def _open(self, content: bytes) -> None:
        self._openvino = _import()
        self._version = self._openvino.__version__.partition("-")[0]
        self._core = self._openvino.Core()
        self._model = self._core.read_model(content)
        self._requests: dict[tuple[str, ...], Any] = {}
        self._request(tuple(output.name for output in self.artifact.outputs))

    def _request(self, wanted: tuple[str, ...]) -> Any:
        if wanted not in self._requests:
            outputs = [self._model.output(name).get_node() for name in wanted]
            model = self._openvino.Model(outputs, self._model.get_parameters())
            # Where a CPU has bfloat16, OpenVINO computes float32 files in it unless it is told not to.
            config = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": self._threads,
                "INFERENCE_PRECISION_HINT": "f32",
            }
            self._requests[wanted] = self._core.compile_model(model, "CPU", config).create_infer_request()
        return self._requests[wanted]

    def _infer(self, feed: Feed, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        request = self._request(tuple(wanted))
        for name, array in feed.items():
            writable = array if array.flags.writeable else array.copy()  # it shares no other memory
            request.set_tensor(name, self._openvino.Tensor(writable, shared_memory=True))
        request.infer()
        return {name: request.get_output_tensor(place).data for place, name in enumerate(wanted)}

    def close(self) -> None:
        super().close()
        self._requests, self._model, self._core = {}, None, None


def _import() -> Any:
    """The package. Importing it sends telemetry unless openvino-telemetry is missing, so hide that module meanwhile."""
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None
    try:
        import openvino
    finally:
        if before is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before
    return openvino
