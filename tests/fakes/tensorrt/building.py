"""The builder: it refuses what the real one refuses, and writes a plan that holds the ONNX file."""

from __future__ import annotations

import os
import re
import signal
import struct
import time

from . import parsing
from .running import Severity, check_initialised, dla_cores, failing, write_plan
from .specification import ENUMS, VERSION, Specified

SHOWN: dict[str, type] = {}
ON_DLA = ("Conv", "ConvTranspose", "Relu", "AveragePool", "MaxPool", "Add", "Identity", "Concat", "Resize", "Sigmoid")


class ProgressMonitor(Specified):
    def __init__(self):
        self._initialised = True


class Calibrator(Specified):
    def __init__(self):
        self._initialised = True


class TimingCache(Specified):
    def __init__(self, content: bytes):
        self._content = content

    def serialize(self):
        return SHOWN["IHostMemory"](f"TIMING {VERSION}".encode())


class Profile(Specified):
    def __init__(self):
        self._shapes: dict[str, tuple] = {}

    def set_shape(self, input: str, min, opt, max) -> None:
        self._shapes[input] = (tuple(min), tuple(opt), tuple(max))


class Config(Specified):
    def __init__(self):
        self._flags = {"TF32"}
        self._pools: dict[str, int] = {}
        self._profiles: list[Profile] = []
        self._calibration_profile = self._timing = None
        self.profiling_verbosity = self.default_device_type = self.int8_calibrator = self.progress_monitor = None
        self.DLA_core, self.builder_optimization_level = -1, 3

    def set_flag(self, flag) -> None:
        self._flags.add(flag.name)

    def clear_flag(self, flag) -> None:
        self._flags.discard(flag.name)

    def set_memory_pool_limit(self, pool, pool_size: int) -> None:
        if not isinstance(pool, ENUMS["MemoryPoolType"]):
            raise TypeError("set_memory_pool_limit(): incompatible function arguments")
        self._pools[pool.name] = pool_size

    def add_optimization_profile(self, profile: Profile) -> int:
        for least, usual, most in profile._shapes.values():
            if not all(a <= b <= c for a, b, c in zip(least, usual, most, strict=True)):
                return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def set_calibration_profile(self, profile: Profile) -> bool:
        self._calibration_profile = profile
        return True

    def create_timing_cache(self, serialized_timing_cache: bytes):
        content = bytes(serialized_timing_cache)
        return SHOWN["ITimingCache"](content) if not content or content.startswith(b"TIMING ") else None

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        fits = not cache._content or cache._content == f"TIMING {VERSION}".encode()
        if fits or ignore_mismatch:
            self._timing = cache
        return fits or ignore_mismatch

    def get_timing_cache(self):
        return self._timing

    def can_run_on_DLA(self, layer: parsing.Layer) -> bool:
        return layer._node.op_type in ON_DLA


class Builder(Specified):
    def __init__(self, logger):
        check_initialised(logger)
        if failing() == "start":
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger
        self.platform_has_fast_fp16 = True
        self.platform_has_fast_int8 = os.environ.get("FAKE_TENSORRT_FAST_INT8", "1") == "1"

    @property
    def num_DLA_cores(self) -> int:
        return dla_cores()

    def create_network(self, flags: int = 0):
        return SHOWN["INetworkDefinition"](flags)

    def create_builder_config(self):
        return SHOWN["IBuilderConfig"]()

    def create_optimization_profile(self):
        return SHOWN["IOptimizationProfile"]()

    def build_serialized_network(self, network: parsing.Network, config: Config):
        """None, after an error in the log, for what the real builder does not build."""
        import pycuda.driver as cuda

        self._fail_on_purpose(config)
        reason = self._refusal(network, config) or self._calibration(network, config)
        if reason is None and failing() == "build":
            reason = "could not find any implementation for node {ForeignNode[conv1...conv9]}"
        if reason is None and not self._progress(config):
            reason = "build was cancelled by the progress monitor"
        if reason is not None:
            self._logger.log(Severity.ERROR, reason)
            return None
        on_dla = config.default_device_type is ENUMS["DeviceType"]["DLA"]
        header = {
            "version": VERSION,
            "gpu": cuda.Device(0).name(),
            "profile": config._profiles[0]._shapes if config._profiles else None,
            "dla": config.DLA_core if on_dla else None,
        }
        return SHOWN["IHostMemory"](write_plan(header, network._graph.model.SerializeToString()))

    def _fail_on_purpose(self, config: Config) -> None:
        if failing() == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if failing() == "crash":
            os.kill(os.getpid(), signal.SIGABRT)
        if failing() == "hang":
            self._progress(config)
            time.sleep(600)

    def _progress(self, config: Config) -> bool:
        monitor = config.progress_monitor
        if monitor is None:
            return True
        check_initialised(monitor)
        monitor.phase_start("Building Engine", None, 2)
        for step in range(2):
            monitor.phase_start("Timing", "Building Engine", 1)
            monitor.step_complete("Timing", 0)
            monitor.phase_finish("Timing")
            if not monitor.step_complete("Building Engine", step):
                return False
        monitor.phase_finish("Building Engine")
        return True

    def _refusal(self, network: parsing.Network, config: Config) -> str | None:
        graph, flags = network._graph, config._flags
        precisions = flags & {"FP16", "INT8", "BF16", "FP8"}
        quantized = any(n.op_type in parsing.QDQ for n in graph.nodes)
        if network._strong and precisions:
            return f"precision flags ({', '.join(sorted(precisions))}) are not allowed on a strongly typed network"
        if network._strong and config.int8_calibrator is not None:
            return "calibration is not supported on a strongly typed network"
        if not network._strong and quantized and "INT8" not in flags:
            return "the network has Q/DQ layers, but builder flag INT8 is not set"
        if "INT8" in flags and not quantized and config.int8_calibrator is None:
            return "INT8 is set, but there are no Q/DQ layers, no calibrator and no dynamic ranges"
        for port in graph.inputs:
            is_open = any(not d.dim_value for d in port.type.tensor_type.shape.dim)
            if is_open and not any(port.name in p._shapes for p in config._profiles):
                return f"network has dynamic input '{port.name}', but no optimization profile has been defined"
        if config._profiles and config.int8_calibrator is not None and config._calibration_profile is None:
            return "calibration profile is not set for a network with dynamic inputs"
        if config.default_device_type is ENUMS["DeviceType"]["DLA"]:
            if not network._strong and not precisions:
                return "DLA requires FP16 or INT8"
            bad = [n.op_type for n in graph.nodes if n.op_type not in ON_DLA]
            if bad and "GPU_FALLBACK" not in flags:
                return f"{bad[0]} is not supported on DLA and GPU fallback is not enabled"
        total = int(os.environ.get("FAKE_GPU_MEMORY", 8 << 30))
        if config._pools.get("WORKSPACE", total) > total:
            return "workspace is larger than the device's memory"
        return None

    def _calibration(self, network: parsing.Network, config: Config) -> str | None:
        """Read the cache, or show frames and write one. Why it failed, or None."""
        calibrator = config.int8_calibrator
        if calibrator is None:
            return None
        check_initialised(calibrator)
        name = "MinMaxCalibration" if "MinMax" in calibrator._spec else "EntropyCalibration2"
        head = f"TRT-{_number()}-{name}"
        cache = calibrator.read_calibration_cache()
        if cache is not None:
            lines = bytes(cache).decode().splitlines()
            if lines[0] == head:
                return self._scales(network, lines[1:])
            self._logger.log(Severity.WARNING, f"calibration cache {lines[0]} is not of this version, calibrating")
        shown, inputs = [], [v.name for v in network._graph.inputs]
        shape = tuple(d.dim_value for d in network._graph.inputs[0].type.tensor_type.shape.dim)
        if config._calibration_profile is not None:  # a batch is as large as its usual shape says
            shape = config._calibration_profile._shapes[inputs[0]][1]
        while True:
            batch = calibrator.get_batch(inputs)
            if not batch:
                break
            shown.append(self._most(batch[0], shape))
        if not shown:
            return "calibration failure occurred with no scaling factors detected"
        scale = struct.pack(">f", max(shown) / 127).hex()
        calibrator.write_calibration_cache(f"{head}\n{inputs[0]}: {scale}\n".encode())
        return None

    def _most(self, address: int, shape: tuple[int, ...]) -> float:
        import numpy as np
        import pycuda.driver as cuda

        return float(np.abs(cuda.device_bytes(address, int(np.prod(shape)) * 4).view(np.float32)).max())

    def _scales(self, network: parsing.Network, lines: list[str]) -> str | None:
        given = set()
        for line in lines:
            if not re.fullmatch(r".+: [0-9a-f]{8}", line):
                return f"calibration cache line is malformed: {line}"
            given.add(line.rpartition(":")[0])
        for node in network._graph.nodes:
            for name in node.output:
                if name not in given:
                    text = f"Missing scale and zero-point for tensor {name}, expect fall back to non-int8"
                    self._logger.log(Severity.WARNING, text)
        return None


def _number() -> int:
    major, minor, patch = (int(part) for part in VERSION.split(".")[:3])
    return major * 10000 + minor * 100 + patch if major >= 10 else major * 1000 + minor * 100 + patch
