"""The real TensorRT Python bindings on a machine without a GPU: their names, attributes and signatures.

The bindings' packages are about a megabyte and install anywhere; the libraries they load are not there. Stub libraries,
generated from the extension's own undefined symbols, let it be imported all the same. Nothing executes: what can be
seen is what exists.

    python tools/real_bindings.py             # write what the fake TensorRT of the tests is specified from
    python tools/real_bindings.py --download  # only what tests/engine/test_conformance.py needs; tests use no network
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "8.6.1": "tensorrt-bindings",
    "10.3.0": "tensorrt-cu12-bindings",
    "10.13.3.9": "tensorrt-cu12-bindings",
    "11.4.0.106": "tensorrt-cu12-bindings",
}
"""Version → package that holds it."""
RTX = "1.7.1.116"
"""TensorRT for RTX: its libraries need no driver, so what `edgekit[rtx]` installed is looked at."""

NAMES = Path(__file__).parents[1] / "tests" / "fakes" / "names"
CACHE = Path.home() / ".cache" / "edgekit-tests" / "tensorrt-bindings"

CLASSES = [
    "Builder",
    "IBuilderConfig",
    "INetworkDefinition",
    "OnnxParser",
    "ParserError",
    "Runtime",
    "ICudaEngine",
    "IExecutionContext",
    "EngineInspector",
    "ILogger",
    "Logger",
    "IHostMemory",
    "ITimingCache",
    "IOptimizationProfile",
    "ITensor",
    "ILayer",
    "IInt8Calibrator",
    "IInt8EntropyCalibrator2",
    "IInt8MinMaxCalibrator",
    "IProgressMonitor",
    "IProfiler",
    "Dims",
]
ENUMS = [
    "BuilderFlag",
    "NetworkDefinitionCreationFlag",
    "MemoryPoolType",
    "DataType",
    "TensorIOMode",
    "TensorFormat",
    "DeviceType",
    "ErrorCode",
    "ProfilingVerbosity",
    "LayerInformationFormat",
    "TensorLocation",
]

# Run inside a process that can import the bindings.
DUMP = f"""
import importlib, json, sys
trt = importlib.import_module(sys.argv[1])

def params(text):
    out, depth, start = [], 0, 0
    for i, c in enumerate(text + ","):
        depth += (c in "([<{{") - (c in ")]}}" or (c == ">" and text[i - 1] != "-"))
        if c == "," and depth == 0:
            piece = text[start:i].strip()
            start = i + 1
            if piece:
                out.append(piece.split(":")[0].strip() + ("=" if " = " in piece else ""))
    return out

def overloads(name, doc):
    found = []
    for line in (doc or "").splitlines():
        line = line.strip()
        if line[:1].isdigit() and ". " in line:
            line = line.partition(". ")[2]
        if line.startswith(name + "(") and "*args, **kwargs" not in line:
            body = line[len(name) + 1 : line.rindex(") ->")]
            if params(body) not in found:
                found.append(params(body))
    return found

classes = {{}}
for name in {CLASSES!r}:
    kind = getattr(trt, name, None)
    if kind is None:
        continue
    members = {{}}
    for attribute in dir(kind):
        if attribute.startswith("_") and attribute != "__init__":
            continue
        value = getattr(kind, attribute)
        if callable(value) and not isinstance(value, type):
            members[attribute] = overloads(attribute, value.__doc__)
        else:
            members[attribute] = "read only" if isinstance(value, property) and value.fset is None else "value"
    classes[name] = members
enums = {{n: {{k: int(v) for k, v in getattr(trt, n).__members__.items()}} for n in {ENUMS!r} if hasattr(trt, n)}}
module = sorted(n for n in dir(trt) if n in {CLASSES + ENUMS!r})
print(json.dumps({{"version": trt.__version__, "module": module, "enums": enums, "classes": classes}}))
"""


class Unavailable(Exception):
    """A compiler, or the network, is missing."""


def prepare(version: str, cache: Path = CACHE, *, download: bool = True) -> dict[str, str]:
    """Download and unpack the bindings of a version and compile their stubs; the environment of a process that can
    ``import tensorrt_bindings``. Unavailable where that cannot be done here, or was not done before and ``download`` is
    False."""
    folder = cache / f"{version}-py{sys.version_info.major}{sys.version_info.minor}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w", encoding="utf-8") as lock:  # tests in several processes prepare it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").is_file():
            if not download:
                raise Unavailable("run tools/real_bindings.py --download, which needs a network")
            _make(version, folder)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return dict(os.environ, PYTHONPATH=path, LD_LIBRARY_PATH=str(folder / "stubs"))


def _make(version: str, folder: Path) -> None:
    for tool in ("cc", "readelf", "nm"):
        if shutil.which(tool) is None:
            raise Unavailable(f"'{tool}' is not installed")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install(folder, "--no-deps", "--retries=1", f"{PACKAGES[version]}=={version}")
    _stubs(folder)
    (folder / "ready").touch()


def install(into: Path, *words: str) -> None:
    """Wheels into a folder, as pip unpacks them. ``words``: more of pip's arguments, then packages. Unavailable where
    pip cannot."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    done = subprocess.run([*pip, "--target", str(into), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"pip cannot install {words[-1]}: {done.stderr.strip().splitlines()[-1:]}")


def _stubs(folder: Path) -> None:
    """A library for every one of NVIDIA's that the extension needs, with every symbol that nothing else defines."""
    extension = str(next(folder.glob("tensorrt_bindings/*.so")))
    dynamic = subprocess.run(["readelf", "-d", extension], capture_output=True, text=True, check=True).stdout
    undefined = subprocess.run(["nm", "-D", "--undefined-only", extension], capture_output=True, text=True, check=True)
    symbols = [line.split()[-1] for line in undefined.stdout.splitlines() if line.split()[-2] == "U"]
    # Those with a version (@GLIBC) and Python's come from elsewhere.
    symbols = [s for s in symbols if "@" not in s and not re.match(r"_?Py|dl(open|close|sym)$", s)]
    code = "".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in symbols)
    (folder / "stubs").mkdir()
    for name in re.findall(r"\[(libnv[^\]]+)\]", dynamic):
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", f"-Wl,-soname,{name}", "-o", str(folder / "stubs" / name)]
        subprocess.run(command, input=code, text=True, check=True, capture_output=True)


def dump(version: str, cache: Path = CACHE, *, download: bool = True) -> dict:
    """What the bindings of a version hold, see DUMP; otherwise as ``prepare``."""
    module = "tensorrt_rtx_bindings" if version == RTX else "tensorrt_bindings"
    if version == RTX and not importlib.util.find_spec(module):
        raise Unavailable("edgekit[rtx] is not installed")
    environment = dict(os.environ) if version == RTX else prepare(version, cache, download=download)
    done = subprocess.run(
        [sys.executable, "-c", DUMP, module], env=environment, capture_output=True, text=True, check=True
    )
    document = json.loads(done.stdout)
    if document["version"] != version:
        raise Unavailable(f"{module} {document['version']} is installed")
    return document


def write(document: dict) -> str:
    """The JSON of a dump, one class member a line."""
    lines = json.dumps(document, indent=1, sort_keys=True)
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s*\n\s*", " ", m.group(1)) + "]", lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--download", action="store_true", help="download and unpack the bindings, and write nothing")
    if parser.parse_args().download:
        for version in PACKAGES:
            try:
                prepare(version)
            except (Unavailable, subprocess.CalledProcessError) as reason:
                print(f"without the real bindings of TensorRT {version}, whose tests skip: {reason}", file=sys.stderr)
        return
    NAMES.mkdir(exist_ok=True)
    for version in (*PACKAGES, RTX):
        file = NAMES / f"{version}.json"
        file.write_text(write(dump(version)))
        print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
