"""What every test gets: one thread per worker, a cache of its own, no stopwatch on properties."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

# Before anything imports torch, which reads it once: with pytest -n the workers share the cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A slow machine is no wrong result; tests that measure time say so themselves.
settings.register_profile("edgekit", deadline=None)
settings.load_profile("edgekit")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Rendered data goes to a temporary folder, also that of commands the tests start; never to the home folder."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def semantic_drone() -> Path:
    """The folder of real photographs, which may not be redistributed; the test is skipped where it is not."""
    folder = REPOSITORY.parent / "shared" / "data" / "semantic_drone"
    if not folder.is_dir():
        pytest.skip(f"the Semantic Drone photographs are not beside the repository ({folder})")
    return folder


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """tests/tiny_bundle.py: ``tiny.write_tiny_bundle(folder)`` and what its network computes."""
    spec = importlib.util.spec_from_file_location("tiny_bundle", REPOSITORY / "tests" / "tiny_bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_bundle(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a whole small bundle; do not write into it."""
    return tiny.write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`import pycuda` and `import tensorrt` find the fakes of tests/fakes, here and in child processes."""
    folder = str(Path(__file__).parent / "fakes")

    def forget() -> None:
        for name in [n for n in sys.modules if n.partition(".")[0] in ("pycuda", "tensorrt")]:
            del sys.modules[name]

    forget()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    yield
    forget()
