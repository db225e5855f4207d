"""The runtime: plans, engines and contexts. A plan holds its ONNX file, and onnxruntime computes it on the CPU."""

from __future__ import annotations

import enum
import json
import os
import sys
import weakref

import numpy as np
import onnx

from . import parsing
from .specification import ENUMS, VERSION, Specified

SHOWN: dict[str, type] = {}
MAGIC = b"FAKE-TENSORRT-PLAN\n"
ELEMENTS = {1: "FLOAT", 2: "UINT8", 3: "INT8", 6: "INT32", 7: "INT64", 9: "BOOL", 10: "HALF"}
NUMPY = {"FLOAT": "float32", "UINT8": "uint8", "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool"}
NUMPY["HALF"] = "float16"


class Severity(enum.Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


parsing.SEVERITY = Severity


def failing() -> str:
    """What shall go wrong: the value of FAKE_TENSORRT_FAIL."""
    return os.environ.get("FAKE_TENSORRT_FAIL", "")


def dla_cores() -> int:
    return int(os.environ.get("FAKE_TENSORRT_DLA", 2))


class Logger(Specified):
    def __init__(self):
        self._initialised = True


class PlainLogger(Logger):
    """``trt.Logger``: writes to stderr."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def __init__(self, min_severity=Severity.WARNING):
        super().__init__()
        self._least = min_severity

    def log(self, severity, msg: str) -> None:
        if severity.value <= self._least.value:
            print(f"[TRT] [{severity.name}] {msg}", file=sys.stderr)


def check_initialised(thing) -> None:
    """pybind11 refuses an object whose class forgot to call the base's __init__."""
    if not getattr(thing, "_initialised", False):
        raise TypeError(f"{type(thing).__name__}.__init__() must be called when overriding __init__")


class HostMemory(Specified):
    def __init__(self, content: bytes):
        self._content = content

    @property
    def nbytes(self) -> int:
        return len(self._content)

    def __bytes__(self) -> bytes:
        return self._content


class Profiler(Specified):
    def __init__(self):
        self._initialised = True


def write_plan(header: dict, model: bytes) -> bytes:
    return MAGIC + json.dumps(header).encode() + b"\n" + model


class Runtime(Specified):
    def __init__(self, logger):
        check_initialised(logger)
        if failing() == "runtime":
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._logger = logger
        self.DLA_core = 0

    @property
    def num_DLA_cores(self) -> int:
        return dla_cores()

    def deserialize_cuda_engine(self, serialized_engine: bytes):
        import pycuda.driver as cuda

        content = bytes(serialized_engine)
        if not content.startswith(MAGIC):
            return self._refuse("IRuntime::deserializeCudaEngine: magic tag does not match")
        head, _, model = content[len(MAGIC) :].partition(b"\n")
        header = json.loads(head)
        here = cuda.Context.get_device().name() if hasattr(cuda.Context, "get_device") else cuda.Device(0).name()
        if header["version"] != VERSION:
            return self._refuse(f"version tag does not match: plan {header['version']}, library {VERSION}")
        if header["gpu"] != here:
            return self._refuse("the engine was built for another GPU")
        if failing() == "deserialise":
            return self._refuse("out of memory")
        return SHOWN["ICudaEngine"](header, model, self._logger)

    def _refuse(self, why: str) -> None:
        self._logger.log(Severity.ERROR, why)


class Engine(Specified):
    def __init__(self, header: dict, model: bytes, logger):
        import onnxruntime

        self._header, self._logger = header, logger
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._graph = parsing.Graph(onnx.load_from_string(model))
        self._contexts = weakref.WeakSet()
        self._ports = [(v, "INPUT") for v in self._graph.inputs] + [(v, "OUTPUT") for v in self._graph.outputs]

    def _port(self, name: str):
        return next(v for v, _ in self._ports if v.name == name)

    @property
    def num_io_tensors(self) -> int:
        return len(self._ports)

    def get_tensor_name(self, index: int) -> str:
        return self._ports[index][0].name

    def get_tensor_mode(self, name: str):
        return ENUMS["TensorIOMode"][next(mode for v, mode in self._ports if v.name == name)]

    def get_tensor_dtype(self, name: str):
        return ENUMS["DataType"][ELEMENTS[self._port(name).type.tensor_type.elem_type]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(d.dim_value or -1 for d in self._port(name).type.tensor_type.shape.dim)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [tuple(shape) for shape in self._header["profile"][name]]

    def create_execution_context(self, strategy=None):
        if failing() == "context":
            self._logger.log(Severity.ERROR, "CUDA runtime error in cudaMalloc: out of memory")
            return None
        return SHOWN["IExecutionContext"](self)

    def create_engine_inspector(self):
        return SHOWN["EngineInspector"](self)


class Inspector(Specified):
    def __init__(self, engine: Engine):
        self._engine = engine

    def get_engine_information(self, format) -> str:
        """What onnxruntime computes in, which is fp32 wherever the file does not say otherwise."""
        if format is not ENUMS["LayerInformationFormat"]["JSON"]:
            raise NotImplementedError
        graph, dla = self._engine._graph, self._engine._header["dla"]
        layers = []
        for node in graph.nodes:
            if node.op_type in parsing.QDQ:
                continue
            reads = [self._type(name) for name in node.input if name]
            writes = [self._type(name, quantized=False) for name in node.output]
            on_dla = dla is not None and node.op_type in ("Conv", "Relu", "AveragePool", "Add", "Identity")
            layers.append(
                {
                    "Name": node.name or node.output[0],
                    "LayerType": "DLA" if on_dla else node.op_type,
                    "Inputs": [{"Format/Datatype": t} for t in reads],
                    "Outputs": [{"Format/Datatype": t} for t in writes],
                }
            )
        return json.dumps({"Layers": layers, "Bindings": []})

    def _type(self, name: str, quantized: bool = True) -> str:
        graph = self._engine._graph
        made = graph.producer.get(name)
        kind = "INT8" if quantized and made is not None and made.op_type == "DequantizeLinear" else None
        kind = kind or ELEMENTS.get(graph.types.get(name, 1), "FLOAT")
        if VERSION.startswith("8."):
            words = {"FLOAT": "Row major linear FP32", "HALF": "Row major linear FP16 format"}
            return words.get(kind, f"Four wide channel vectorized row major {kind.capitalize()} format")
        return kind.capitalize()


class Context(Specified):
    def __init__(self, engine: Engine):
        self._engine = engine
        # Up to 8 the contexts of an engine share no profile: the first has it, until it goes.
        self._has_profile = not (VERSION.startswith("8.") and len(engine._contexts))
        engine._contexts.add(self)
        self._addresses: dict[str, int] = {}
        self._given = {port.name: engine.get_tensor_shape(port.name) for port in engine._graph.inputs}
        self._made: dict[str, tuple[int, ...]] = {}
        self.profiler = None

    def set_input_shape(self, name: str, shape) -> bool:
        shape = tuple(shape)
        own = self._engine.get_tensor_shape(name)
        if len(shape) != len(own) or any(a not in (-1, b) for a, b in zip(own, shape, strict=True)):
            return False
        profile = self._engine._header["profile"]
        if profile and not self._has_profile:
            self._engine._logger.log(Severity.ERROR, "no optimization profile has been set for this context")
            return False
        if profile:
            least, _, most = profile[name]
            if not all(lo <= s <= hi for lo, s, hi in zip(least, shape, most, strict=True)):
                return False
        self._given[name], self._made = shape, {}
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        engine = self._engine
        if name in self._given:
            return self._given[name]
        if self._is_open():
            return engine.get_tensor_shape(name)
        if not self._made:
            zeros = {port: np.zeros(shape, self._dtype(port)) for port, shape in self._given.items()}
            names = [o.name for o in engine._session.get_outputs()]
            self._made = {n: a.shape for n, a in zip(names, engine._session.run(names, zeros), strict=True)}
        return tuple(self._made[name])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        import pycuda.driver as cuda

        cuda._context()
        ports = [v.name for v, _ in self._engine._ports]
        if failing() == "enqueue" or any(name not in self._addresses for name in ports) or self._is_open():
            self._engine._logger.log(Severity.ERROR, "IExecutionContext::enqueueV3: an address or a shape is missing")
            return False
        addresses, shapes = dict(self._addresses), dict(self._given)
        cuda.stream_of(stream_handle).enqueue(lambda: self._compute(addresses, shapes))
        return True

    def _is_open(self) -> bool:
        return any(-1 in shape for shape in self._given.values())

    def _dtype(self, name: str) -> np.dtype:
        return np.dtype(NUMPY[ELEMENTS[self._engine._port(name).type.tensor_type.elem_type]])

    def _compute(self, addresses: dict[str, int], shapes: dict[str, tuple[int, ...]]) -> None:
        import pycuda.driver as cuda

        session, feed = self._engine._session, {}
        for name, shape in shapes.items():
            dtype = self._dtype(name)
            count = int(np.prod(shape)) * dtype.itemsize
            feed[name] = cuda.device_bytes(addresses[name], count).view(dtype).reshape(shape)
        names = [o.name for o in session.get_outputs()]
        for output, array in zip(names, session.run(names, feed), strict=True):
            block = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            cuda.device_bytes(addresses[output], block.nbytes)[...] = block
        if self.profiler is not None:
            check_initialised(self.profiler)
            for node in self._engine._graph.nodes:
                self.profiler.report_layer_time(node.name or node.output[0], 0.25)
