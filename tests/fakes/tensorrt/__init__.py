"""A TensorRT without a GPU, for tests: specified by the dumps of the real bindings, computing with onnxruntime.

FAKE_TENSORRT_VERSION chooses the version. FAKE_TENSORRT_FAIL makes something go wrong, see ``failures``.
"""

from __future__ import annotations

import sys

from . import building, parsing, running
from .specification import ENUMS, VERSION, Module, specified

__version__ = VERSION

IMPLEMENTATIONS = {
    "ILogger": running.Logger,
    "Logger": running.PlainLogger,
    "IHostMemory": running.HostMemory,
    "Runtime": running.Runtime,
    "ICudaEngine": running.Engine,
    "IExecutionContext": running.Context,
    "EngineInspector": running.Inspector,
    "IProfiler": running.Profiler,
    "Builder": building.Builder,
    "IBuilderConfig": building.Config,
    "IOptimizationProfile": building.Profile,
    "ITimingCache": building.TimingCache,
    "IProgressMonitor": building.ProgressMonitor,
    "IInt8EntropyCalibrator2": building.Calibrator,
    "IInt8MinMaxCalibrator": building.Calibrator,
    "OnnxParser": parsing.Parser,
    "ParserError": parsing.Error,
    "INetworkDefinition": parsing.Network,
    "ILayer": parsing.Layer,
}

_shown = {name: specified(implementation, name) for name, implementation in IMPLEMENTATIONS.items()}
_shown = {name: kind for name, kind in _shown.items() if kind is not None}
_shown["ILogger"].Severity = running.Severity
for _module in (building, parsing, running):
    _module.SHOWN.update(_shown)
globals().update(_shown)
globals().update(ENUMS)
sys.modules[__name__].__class__ = Module
