"""What every test gets: one thread per worker, a cache of its own, no stopwatch on properties."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings

from edgekit.tasks import Task, kind_of

# Before anything imports torch, which reads it once: with pytest -n the workers share the cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A slow machine is no wrong result; tests that measure time say so themselves.
settings.register_profile("edgekit", deadline=None)
settings.load_profile("edgekit")

REPOSITORY = Path(__file__).parents[1]
FAKES = Path(__file__).parent / "fakes"


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Rendered data goes to a temporary folder, also that of commands the tests start; never to the home folder."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def mirror() -> Callable[[Task, np.ndarray], np.ndarray]:
    """A native map of the mirrored frame: its pixels exchanged here, their values changed by the kind."""

    def mirror(task: Task, array: np.ndarray) -> np.ndarray:
        return kind_of(task).reorient(task, np.ascontiguousarray(array[:, ::-1]), np.diag([-1.0, 1.0]), 1.0)

    return mirror


_CHROMIUM = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-quic"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
# A frame of the page's own, since a window is at least 500 pixels wide.
_SEEN = """<iframe style="width: {width}px; height: 900px; border: 0" srcdoc="{page}"></iframe>
<script>addEventListener("load", () => {{ const shown = document.querySelector("iframe"),
    within = shown.contentDocument; document.title = JSON.stringify({{
    width: shown.contentWindow.innerWidth, content: within.documentElement.scrollWidth,
    broken: [...within.images].filter(image => !image.naturalWidth).length}}) }})</script>"""


@pytest.fixture
def in_browser(tmp_path: Path) -> Callable[[str, int], dict[str, int]]:
    """``in_browser(html, width)``: pixels of the window's and the page's width, and pictures that cannot be shown.

    The test is skipped where there is no Chromium.
    """
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium here: apt-get install chromium")

    def in_browser(page: str, width: int) -> dict[str, int]:
        file = tmp_path / "in_browser.html"
        file.write_text(_SEEN.format(width=width, page=html.escape(page)), encoding="utf-8")
        own = [f"--user-data-dir={tmp_path / 'chromium'}", "--window-size=1600,1000", "--dump-dom", file.as_uri()]
        command = [chromium, *_CHROMIUM, *own]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        return json.loads(html.unescape(re.search(r"<title>(\{.*?\})</title>", shown)[1]))

    return in_browser


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
def install_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """``install_package(name, modules, points)``: for this test a package is installed, here and in child processes.

    modules: file name → source, in the package's folder; points: entry-point group → name → "module:attribute".
    """
    before = set(sys.modules)

    def install(name: str, modules: Mapping[str, str], points: Mapping[str, Mapping[str, str]]) -> None:
        site = tmp_path / f"site-{name}"
        package = site / name.replace("-", "_")
        package.mkdir(parents=True)
        for file, source in {"__init__.py": "", **modules}.items():
            (package / file).write_text(source, encoding="utf-8")
        info = site / f"{package.name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        text = "".join(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in t.items()) for group, t in points.items())
        (info / "entry_points.txt").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))

    yield install
    sites = tuple(str(site) for site in tmp_path.glob("site-*"))
    for name in set(sys.modules) - before:
        if sites and (getattr(sys.modules[name], "__file__", None) or "").startswith(sites):
            del sys.modules[name]


def _forget_fakes() -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] in ("pycuda", "tensorrt")]:
        del sys.modules[name]


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`import pycuda` and `import tensorrt` find the fakes of tests/fakes, here and in child processes."""
    _forget_fakes()
    monkeypatch.syspath_prepend(str(FAKES))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKES), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    yield
    _forget_fakes()


@pytest.fixture
def tensorrt(fake_gpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Choose the fake's version and what goes wrong in it: ``tensorrt("11.4.0.106", FAIL="build")``."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))

    def choose(version: str = "10.3.0", **knobs: str) -> None:
        _forget_fakes()
        monkeypatch.setenv("FAKE_TENSORRT_VERSION", version)
        for name, value in knobs.items():
            monkeypatch.setenv(f"FAKE_TENSORRT_{name}", value)

    choose()
    return choose


@pytest.fixture(scope="session")
def jetson() -> ModuleType:
    """tests/fakes/jetson_bundle.py: the tiny bundle in every TensorRT lane."""
    spec = importlib.util.spec_from_file_location("jetson_bundle", FAKES / "jetson_bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def jetson_bundle(tiny: ModuleType, jetson: ModuleType, tiny_bundle: Path, tmp_path: Path) -> Path:
    """A bundle's directory that the test may change."""
    return jetson.write_jetson_bundle(tiny, tiny_bundle, tmp_path / "bundle")


@pytest.fixture
def built_here(tensorrt, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list]:
    """``built_here(folder, precision="int8")`` builds in this process instead of in a child, which is faster."""

    def build_here(folder: Path, **options) -> list:
        from edgekit.bundle.bundle import open_bundle
        from edgekit.engine import build, worker

        def here(job, listen=lambda event: None):
            return worker.do(job, listen, lambda: False)

        monkeypatch.setattr(build, "run_child", here)
        monkeypatch.setattr(worker, "LEAST_RUNS", 3)
        monkeypatch.setattr(worker, "LEAST_SECONDS", 0.0)
        return build.build(open_bundle(folder), build.BuildOptions(**options))

    return build_here
