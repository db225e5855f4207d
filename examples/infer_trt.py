#!/usr/bin/env python3
"""Run a TensorRT engine of an edgekit bundle without edgekit: numpy, tensorrt and pycuda alone, Python 3.8 (JetPack 5).

    sh bundle/build.sh                                            # trtexec builds the engines
    python3 infer_trt.py bundle bundle/engines/weak-int8-8502.engine --check
    python3 infer_trt.py bundle bundle/engines/weak-int8-8502.engine --frames frames.npy --save answers.npz

``--frames`` is a .npy of uint8 rgb frames, (N, H, W, 3) of any size; without it the bundle's golden frames are run.
``--check`` compares with the golden answers at the tolerance of the engine's lane and precision, and exits with 1 where
they do not hold. Times are of one frame after the other: GPU compute by a pair of events, the rest around it.
This script has run over a stand-in for TensorRT and CUDA, not yet on a Jetson.
"""

from __future__ import print_function

import argparse
import json
import os
import re
import sys
import time

import numpy as np

DTYPES = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8, "INT8": np.int8, "INT32": np.int32}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="the bundle's directory")
    parser.add_argument("engine", help="an engine built on this machine")
    parser.add_argument("--frames", help="a .npy of uint8 rgb frames; default: the bundle's golden frames")
    parser.add_argument("--artifact", help="LANE/PRECISION of the engine; default: by its name, such as weak-int8-...")
    parser.add_argument("--check", action="store_true", help="compare the golden frames with the bundle's answers")
    parser.add_argument("--save", help="write the network's outputs to this .npz")
    parser.add_argument("--runs", type=int, default=100, help="timed runs, default 100")
    options = parser.parse_args(arguments)
    with open(os.path.join(options.bundle, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    if [seen["name"] for seen in manifest["preprocessing"]["modalities"]] != ["rgb"]:
        sys.exit("the network sees more than rgb, and this example gives it rgb alone")
    artifact = find_artifact(manifest, options)
    golden = dict(np.load(os.path.join(options.bundle, manifest["golden"]["file"]), allow_pickle=False))
    frames = golden["frames"] if options.check or not options.frames else np.load(options.frames, allow_pickle=False)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        sys.exit("frames must be (N, H, W, 3) uint8, these are %s %s" % (frames.shape, frames.dtype))
    engine = Engine(options.engine)
    try:
        answers = [engine.run(prepare(frame, manifest, artifact)) for frame in frames]
        report_times([engine.timed() for _ in range(options.runs)])
    finally:
        engine.close()
    outputs = {name: np.concatenate([a[name] for a in answers]) for name in answers[0]}
    for name in sorted(outputs):
        print("%-28s %s %s" % (name, outputs[name].shape, outputs[name].dtype))
    if options.save:
        np.savez_compressed(options.save, **outputs)
    if options.check and not check(outputs, golden, manifest, artifact):
        return 1
    return 0


def find_artifact(manifest, options):
    """The manifest's row for the engine: by --artifact, or by the engine's name."""
    rows = {"%s/%s" % (a["lane"], a["precision"]): a for a in manifest["artifacts"] if a["lane"] != "onnxruntime"}
    named = re.search(r"(weak|strong|cache)-(fp32|fp16|int8)", os.path.basename(options.engine))
    edgekits = re.search(r"(fp32|fp16|int8)-(weak|strong|cache)", os.path.basename(options.engine))
    key = options.artifact or ("/".join(named.groups()) if named else None)
    key = key or ("/".join(reversed(edgekits.groups())) if edgekits else None)
    if key not in rows:
        sys.exit("say which artifact the engine is: --artifact %s" % " | ".join(sorted(rows)))
    return rows[key]


def prepare(frame, manifest, artifact):
    """One frame as the network takes it: (1, H, W, 3) uint8, or (1, 3, H, W) float32 standardised."""
    rules = manifest["preprocessing"]
    height, width = rules["size"]
    placed = np.empty((height, width, 3), np.uint8)
    placed[:] = rules["pad"]
    if rules["fit"] == "stretch" or tuple(frame.shape[:2]) == (height, width):
        inner = (height, width)
    else:
        room = rules.get("content") or (height, width)
        factor = min(float(room[0]) / frame.shape[0], float(room[1]) / frame.shape[1], 1.0)
        inner = tuple(min(most, max(1, round(side * factor))) for most, side in zip(room, frame.shape[:2]))
    placed[: inner[0], : inner[1]] = frame if inner == frame.shape[:2] else resize(frame, inner)
    if artifact["input"]["dtype"] == "uint8":
        return placed[None]
    standardised = (placed.astype(np.float32) - np.float32(rules["mean"])) / np.float32(rules["std"])
    return np.ascontiguousarray(standardised.transpose(2, 0, 1)[None])


def resize(frame, size):
    """Bilinear, without antialiasing: edgekit's own antialiases, so strongly shrunk frames differ a little."""
    rows, columns = (np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1) for n, m in zip(size, frame.shape[:2]))
    top, left = rows.astype(int), columns.astype(int)
    bottom, right = np.minimum(top + 1, frame.shape[0] - 1), np.minimum(left + 1, frame.shape[1] - 1)
    down, across = (rows - top)[:, None, None], (columns - left)[None, :, None]
    image = frame.astype(np.float32)
    upper = image[top][:, left] * (1 - across) + image[top][:, right] * across
    lower = image[bottom][:, left] * (1 - across) + image[bottom][:, right] * across
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8)


class Engine(object):
    """An engine with its buffers, on the GPU's primary context."""

    def __init__(self, path):
        import pycuda.driver as cuda
        import tensorrt as trt

        if not hasattr(trt.IExecutionContext, "execute_async_v3"):
            sys.exit("TensorRT %s is too old: 8.5 or newer is needed (JetPack 5.1)" % trt.__version__)
        cuda.init()
        self.cuda, self.allocated = cuda, []
        self.device = cuda.Device(0)
        self.primary = self.device.retain_primary_context()
        self.primary.push()
        self.engine = self.context = None
        try:
            self.logger = trt.Logger(trt.Logger.WARNING)
            self.runtime = trt.Runtime(self.logger)
            with open(path, "rb") as file:
                self.engine = self.runtime.deserialize_cuda_engine(file.read())
            if self.engine is None:
                sys.exit(
                    "TensorRT %s on %s does not take %s: engines run on the TensorRT version and GPU that built them; "
                    "build it here with `sh build.sh`" % (trt.__version__, self.device.name(), path)
                )
            self.context = self.engine.create_execution_context()
            if self.context is None:
                sys.exit("TensorRT cannot make a context, most likely for lack of memory: close other programs")
            self.stream = cuda.Stream()
            self.marks = [cuda.Event() for _ in range(4)]
            self.buffers, self.input = {}, None
            names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
            self.input = next(n for n in names if self.engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT)
            shape = tuple(self.engine.get_tensor_shape(self.input))
            if -1 in shape:  # an open batch: one frame at a time
                shape = (1, *shape[1:])
                self.context.set_input_shape(self.input, shape)
            for name in names:
                self.buffers[name] = self.buffer(name, tuple(self.context.get_tensor_shape(name)))
        except BaseException:
            self.close()
            raise

    def buffer(self, name, shape):
        dtype = DTYPES[self.engine.get_tensor_dtype(name).name]
        host = self.cuda.pagelocked_empty(shape, dtype)
        memory = self.cuda.mem_alloc(max(1, host.nbytes))
        self.allocated.append(memory)
        self.context.set_tensor_address(name, int(memory))
        return host, memory

    def enqueue(self):
        """One frame through: copies and the network between four events; returns host seconds of the launch."""
        for mark, step in zip(self.marks, (self.upload, self.compute, self.download)):
            mark.record(self.stream)
            begin = time.time()
            step()
            if step == self.compute:
                launch = time.time() - begin
        self.marks[3].record(self.stream)
        self.stream.synchronize()
        return launch

    def upload(self):
        host, memory = self.buffers[self.input]
        self.cuda.memcpy_htod_async(int(memory), host, self.stream)

    def compute(self):
        if not self.context.execute_async_v3(self.stream.handle):
            sys.exit("TensorRT did not run the engine; see its messages above")

    def download(self):
        for name, (host, memory) in self.buffers.items():
            if name != self.input:
                self.cuda.memcpy_dtoh_async(host, int(memory), self.stream)

    def run(self, feed):
        """Outputs by name for one input."""
        host = self.buffers[self.input][0]
        if feed.shape != host.shape or feed.dtype != host.dtype:
            sys.exit("the engine takes %s %s, this is %s %s" % (host.shape, host.dtype, feed.shape, feed.dtype))
        host[:] = feed
        self.enqueue()
        return {name: buffer[0].copy() for name, buffer in self.buffers.items() if name != self.input}

    def timed(self):
        """Milliseconds of the last input once more: (h2d, GPU compute, d2h, enqueue)."""
        launch = self.enqueue()
        start, copied, computed, done = self.marks
        return copied.time_since(start), computed.time_since(copied), done.time_since(computed), launch * 1000

    def close(self):
        """Free all of it, TensorRT's objects first."""
        self.context = self.engine = self.runtime = None
        for memory in self.allocated:
            memory.free()
        self.buffers, self.allocated, self.marks, self.stream = {}, [], [], None
        self.primary.pop()
        self.primary.detach()


def report_times(times):
    if not times:
        return
    columns = np.array(times).T
    for name, values in zip(("H2D", "GPU compute", "D2H", "enqueue"), columns):
        middle, late = np.percentile(values, [50, 99])
        print("%-12s mean %.3f ms, p50 %.3f, p99 %.3f over %d runs" % (name, values.mean(), middle, late, len(values)))


def check(outputs, golden, manifest, artifact):
    """Compare what the engine gives directly; whether all of it holds."""
    key = "%s/%s" % (artifact["lane"], artifact["precision"])
    limits = {n: m for n, m in manifest["golden"]["tolerance"].get(key, {}).items() if n in outputs and n in golden}
    if not limits:
        print("nothing to check: the golden answers are not what a %s engine gives; use `edgekit verify`" % key)
        return False
    holds = True
    for name, measures in sorted(limits.items()):
        for measure, limit in measures.items():
            answer, right = outputs[name], golden[name]
            if measure == "agreement":
                value = float((answer == right).mean())
                good = value >= limit
            else:
                value = float(np.abs(answer.astype(np.float32) - right.astype(np.float32)).mean())
                good = value <= limit
            holds = holds and good
            print("%s %s %.5f, limit %.5f: %s" % (name, measure, value, limit, "holds" if good else "FAILS"))
    return holds


if __name__ == "__main__":
    sys.exit(main())
