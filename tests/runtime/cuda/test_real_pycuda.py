"""The fake pycuda against the real one, where it is installed: names that the device code uses.

It needs a libcuda; without a GPU a stub library lets it be imported, and nothing executes.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def used() -> set[str]:
    """``cuda.X`` and ``self._cuda.X`` in the device code and in the example."""
    found = set()
    for file in ("edgekit/runtime/cuda/device.py", "examples/infer_trt.py"):
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Attribute):
                base = node.value
                name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
                if name in ("cuda", "_cuda"):
                    found.add(node.attr)
    return found


def python_with_pycuda() -> str:
    """An interpreter that has pycuda: EDGEKIT_PYCUDA_PYTHON, or this one."""
    named = os.environ.get("EDGEKIT_PYCUDA_PYTHON")
    if named is None and importlib.util.find_spec("pycuda") is None:
        pytest.skip("pycuda is not installed; EDGEKIT_PYCUDA_PYTHON may name a Python that has it")
    return named or sys.executable


def stub_libcuda(folder: Path, python: str) -> None:
    """A libcuda.so.1 with every symbol that pycuda's extension leaves undefined."""
    code = "import importlib.util as u; print(next(iter(u.find_spec('pycuda').submodule_search_locations)))"
    package = Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    (extension,) = (
        package.parent.glob("_driver*.so") if not list(package.glob("_driver*.so")) else package.glob("_driver*.so")
    )
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", extension], capture_output=True, text=True, check=True
    ).stdout
    symbols = sorted(set(re.findall(r"\bU (cu[A-Z]\w+)$", listed, re.MULTILINE)))
    source = "".join(f"int {s}(void) {{ return 100; }}\n" for s in symbols if s != "cuGetErrorString")  # no device
    source += 'int cuGetErrorString(int e, const char **s) { *s = "no CUDA-capable device is detected"; return 0; }\n'
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so.1")]
    subprocess.run(command, input=source, text=True, check=True)


def test_the_names_are_found():
    assert {"mem_alloc", "Stream", "Event", "memcpy_htod_async", "pagelocked_empty", "Device"} <= used()


def test_what_is_used_exists(tmp_path):
    python = python_with_pycuda()
    stub_libcuda(tmp_path, python)
    names = sorted(used())
    code = (
        f"import pycuda.driver as c\nprint([n for n in {names!r} if not hasattr(c, n)])\n"
        "print([n for k, ns in {'Device': 'name compute_capability total_memory retain_primary_context count "
        "get_attribute', 'device_attribute': 'INTEGRATED', "
        "'Context': 'push pop detach', 'Stream': 'handle synchronize wait_for_event', "
        "'Event': 'record synchronize time_since', 'DeviceAllocation': 'free'}.items() "
        "for n in ns.split() if not hasattr(getattr(c, k), n)])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["LD_PRELOAD"] = str(tmp_path / "libcuda.so.1")
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n[]\n"


def test_no_device_is_an_error_message_with_the_real_one(tmp_path):
    """The real pycuda's exceptions are the ones that the device code catches."""
    python = python_with_pycuda()
    stub_libcuda(tmp_path, python)
    code = "from edgekit.runtime.cuda.device import Device\nDevice()"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment.update(PYTHONPATH=str(ROOT), LD_PRELOAD=str(tmp_path / "libcuda.so.1"))
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "EdgekitError: CUDA cannot be initialised: cuInit failed: no CUDA-capable device is detected" in done.stderr
