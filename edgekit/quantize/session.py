"""onnxruntime on the workstation: the one place that opens it for calibration and comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
from onnx import ModelProto


def open_session(model: ModelProto, *, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A CPU session. ``threads`` per run; by default one per core."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of initializers that a graph cut for observing no longer needs
    if threads:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, frame: np.ndarray) -> Sequence[np.ndarray]:
    """All outputs for one input."""
    return session.run(None, {session.get_inputs()[0].name: frame})
