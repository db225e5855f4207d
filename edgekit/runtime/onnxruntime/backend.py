"""The onnxruntime backend: a session per artifact, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgekit.bundle.bundle import Bundle
from edgekit.bundle.manifest import Artifact
from edgekit.errors import EdgekitError
from edgekit.runtime.backend import Options
from edgekit.runtime.cpu import CpuBackend
from edgekit.runtime.preprocess import Feed

_NOWHERE = "/nonexistent"  # a folder that no system has
_ERRORS_OFF = 4  # severity: only what ends the process; what it would print is in the exception


class OnnxRuntime(CpuBackend):
    """An onnxruntime session. It reads every lane's file: those for TensorRT can be checked without one."""

    name = package = "onnxruntime"
    extra = "cpu"
    lanes = ("onnxruntime", "weak", "strong", "cache")

    @classmethod
    def choose(cls, bundle: Bundle, lane: str | None, precision: str | None, options: Options) -> Artifact:
        artifact = super().choose(bundle, lane, precision, options)
        by_the_builder = {"weak": ("fp16",), "cache": ("fp16", "int8")}.get(artifact.lane, ())
        if artifact.precision in by_the_builder:
            raise EdgekitError(
                f"in the {artifact.lane} lane TensorRT makes {artifact.precision} itself: the file holds fp32",
                where=str(bundle.source),
                fix=f"ask for fp32 in the {artifact.lane} lane, or for int8 in the onnxruntime lane",
            )
        return artifact

    def _open(self, content: bytes) -> None:
        import onnxruntime

        self._version = onnxruntime.__version__
        self._session = onnxruntime.InferenceSession(
            content, sess_options=self._session_options(onnxruntime), providers=["CPUExecutionProvider"]
        )

    def _session_options(self, onnxruntime: Any) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERRORS_OFF
        # A graph from memory that names files for its weights would have them read from the working directory.
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", _NOWHERE)
        # Threads spin while a network runs and sleep in between, when other code needs the cores.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        return options

    def _infer(self, feed: Feed, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        outputs = self._session.run(list(wanted), dict(feed))
        return dict(zip(wanted, outputs, strict=True))

    def close(self) -> None:
        super().close()
        self._session = None
