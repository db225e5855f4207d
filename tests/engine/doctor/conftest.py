"""A healthy board, to break one thing at a time."""

from __future__ import annotations

import pytest

from edgekit.boards.clocks import Clock, Clocks
from edgekit.boards.lookup import find_board, find_jetpack
from edgekit.boards.machine import Machine
from edgekit.boards.memory import Memory
from edgekit.boards.power import PowerMode
from edgekit.engine.doctor.surroundings import Interpreter, Surroundings

GIB = 2**30
DIST_PACKAGES = "/usr/lib/python3.10/dist-packages"


@pytest.fixture
def healthy() -> Surroundings:
    """An Orin NX 16 GB with JetPack 6.2, all as it should be."""
    clocks = Clocks((Clock("cpu0", 10, 10, 10), Clock("GPU", 918_000_000, 918_000_000, 918_000_000)))
    return Surroundings(
        machine=Machine(
            model="NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
            board=find_board("orin-nx-16gb"),
            l4t="36.4.3",
            jetpack_version="6.2",
            jetpack=find_jetpack("6.2"),
            power=PowerMode("MAXN", 0),
            clocks=clocks,
            fan="pwm 255 of 255",
            memory=Memory(int(15.3 * GIB), 12 * GIB, 8 * GIB, 8 * GIB),
        ),
        interpreter=Interpreter("3.10.12", "/home/u/env/bin/python", "/home/u/env", True),
        tensorrt={
            "version": "10.3.0",
            "file": f"{DIST_PACKAGES}/tensorrt/__init__.py",
            "libraries": ["libcudart.so.12.6.68", "libnvinfer.so.10.3.0"],
        },
        pycuda={"version": "2025.1", "file": "x", "cuda": "12.6"},
        onnxruntime={"version": "1.23.2"},
        opencv={"version": "4.8.0", "gstreamer": True},
        av={"version": "15.1.0"},
        cuda={"driver": "12.6", "gpus": [{"name": "Orin", "sm": "8.7", "memory": 15 * GIB}]},
        system_tensorrt=f"{DIST_PACKAGES}/tensorrt",
        toolkit="12.6",
        trtexec="/usr/src/tensorrt/bin/trtexec",
        folder="/home/u",
        free=100 * GIB,
    )
