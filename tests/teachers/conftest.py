"""A tiny multi-modal network and frames for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from edgekit.tasks import Task, kind_of
from edgekit.teachers.config import MemberConfig
from edgekit.teachers.multimodal import MultiModal

MODALITIES = [
    Task("rgb", "modality", channels=3, range=(0.0, 255.0)),
    Task("edges", "modality", channels=1),
    Task("expert_depth", "depth", range=(2.0, 300.0), unit="m"),
    Task("expert_normals", "normals"),
]
TASKS = [
    Task("classes", "semantic", classes=tuple("abc")),
    Task("depth", "depth", range=(2.0, 300.0), unit="m"),
    Task("normals", "normals"),
    Task("water", "binary"),
]


@pytest.fixture(scope="session")
def modalities() -> list[Task]:
    return MODALITIES


@pytest.fixture(scope="session")
def tasks() -> list[Task]:
    return TASKS


@pytest.fixture(scope="session")
def make_network() -> Callable[..., MultiModal]:
    def make(seed: int = 0, family: str = "repseg", modalities=MODALITIES, tasks=TASKS) -> MultiModal:
        torch.manual_seed(seed)
        statistics = {
            m.name: ([0.1 * c + 0.3 for c in range(n)], [0.5 + 0.1 * c for c in range(n)])
            for m in modalities
            for n in (kind_of(m).channels(m),)
        }
        network = MultiModal(MemberConfig(family=family, width=4), modalities, tasks, statistics)
        with torch.no_grad():  # an untrained network is flat: batch norms that have seen noise, a head that spreads
            noise = torch.randn(4, sum(kind_of(m).channels(m) for m in modalities), 32, 32)
            everything = torch.ones(len(modalities), dtype=torch.bool)
            network.train()(noise, everything)
            out = torch.cat(list(network.eval()(noise, everything).values()), dim=1)
            head = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)][-1]
            factor = 0.5 / out.std(dim=(0, 2, 3))
            head.weight *= factor[:, None, None, None]
            head.bias.copy_((head.bias - out.mean(dim=(0, 2, 3))) * factor + 0.4)
        return network

    return make


@pytest.fixture(scope="session")
def make_inputs() -> Callable[..., dict[str, torch.Tensor]]:
    def make(n: int = 2, size: tuple[int, int] = (32, 48), seed: int = 0) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng(seed)
        out = {}
        for task in MODALITIES:
            x = rng.random((n, kind_of(task).channels(task), *size))
            if task.kind == "normals":
                x = 2 * x - 1
                x /= np.linalg.norm(x, axis=1, keepdims=True)
            out[task.name] = torch.from_numpy(x.astype(np.float32))
        out["expert_depth"][:, :, :3, :5] = torch.nan
        return out

    return make
