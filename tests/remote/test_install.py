"""`edgekit board install` without a network: pip finds wheels in a folder of the test."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgekit import __version__
from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.remote import install

TESTS = Path(__file__).parents[1]
HERE = f"cp{sys.version_info[0]}{sys.version_info[1]}"
NEEDED = {"numpy": "1.26.4", "click": "8.3.0", "pyyaml": "6.0.2", "rich": "14.0.0", "pillow": "11.0.0", "av": "14.2.0"}
FOR_PYCUDA = ("pytools", "platformdirs", "mako", "setuptools", "wheel", "typing_extensions")
COMPILED = {"numpy", "pyyaml", "pillow", "av"}


BACKEND = """
import pathlib, zipfile
INFO = "{name}-{version}.dist-info"
FILES = {{
    "{name}.py": "raise ImportError('{name} of the test: no CUDA here')",
    INFO + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
    INFO + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    INFO + "/RECORD": "",
}}

def build_wheel(folder, settings=None, metadata=None):
    with zipfile.ZipFile(pathlib.Path(folder) / "{name}-{version}-py3-none-any.whl", "w") as archive:
        for file, content in FILES.items():
            archive.writestr(file, content)
    return "{name}-{version}-py3-none-any.whl"

def prepare_metadata_for_build_wheel(folder, settings=None):
    for file, content in FILES.items():
        if file.startswith(INFO):
            path = pathlib.Path(folder) / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
    return INFO
"""


class Index:
    """A folder of wheels. Each holds a .pth alone, by which the packages of this environment are found."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()

    def wheel(self, name: str, version: str, tag: str = "py3-none-any", needs: tuple[str, ...] = ()) -> None:
        info = f"{name}-{version}.dist-info"
        paths = "\n".join(path for path in sys.path if path.endswith("-packages"))
        about = "".join(f"Requires-Dist: {need}\n" for need in needs)
        tags = "".join(f"Tag: {tag.rpartition('-')[0]}-{platform}\n" for platform in tag.rpartition("-")[2].split("."))
        contents = {
            f"{name}-needed.pth": paths,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{about}",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\n{tags}",
        }
        contents[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*contents, f"{info}/RECORD"])
        with zipfile.ZipFile(self.folder / f"{name}-{version}-{tag}.whl", "w") as archive:
            for file, content in contents.items():
                archive.writestr(file, content)

    def source(self, name: str, version: str) -> None:
        """A package that has to be built where it is installed."""
        files = {
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": BACKEND.format(name=name, version=version),
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        }
        with tarfile.open(self.folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
            for file, content in files.items():
                member = tarfile.TarInfo(f"{name}-{version}/{file}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content.encode()))


@pytest.fixture
def index(tmp_path, monkeypatch) -> Index:
    """What edgekit needs, for this Python, 3.10 and 3.12, on both architectures."""
    made = Index(tmp_path / "index")
    for name, version in NEEDED.items():
        for python in {HERE, "cp310", "cp312"} if name in COMPILED else [None]:
            for machine in ("x86_64", "aarch64"):
                tag = f"{python}-{python}-manylinux_2_17_{machine}.manylinux2014_{machine}"
                made.wheel(name, version, tag if python else "py3-none-any", ("pygments>=2",) if name == "rich" else ())
    made.wheel("pygments", "2.19.0")
    for python in ("cp310", "cp312"):
        made.wheel("numpy", "2.2.0", f"{python}-{python}-manylinux_2_17_aarch64")
    made.wheel("pillow", "99.0", f"{HERE}-{HERE}-manylinux_2_99_x86_64")  # for a newer glibc than there is
    for name in FOR_PYCUDA:
        made.wheel(name, "80.0")
    made.source("pycuda", "2025.1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.folder))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return made


def hello(python: str = "3.10.12", machine: str = "aarch64", glibc: str = "2.35") -> dict:
    return {"python": python, "machine": machine, "glibc": glibc, "installed": None}


def names(copy) -> set[str]:
    return {"-".join(name.split("-")[:2]) for name in copy.files}


@pytest.mark.slow
def test_a_board_is_installed_without_a_network_and_runs(board, index, jetson_bundle, capsys):
    board.environ(PYTHONPATH=str(TESTS / "fakes"))
    capsys.readouterr()
    code = main(["board", "install", "orin", "--json"])
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert code == (0 if said["doctor"]["can_build"] else 1)
    assert f"edgekit-{__version__}-py3-none-any.whl" in said["wheels"]
    assert "edgekit: making an environment" in err and "edgekit: installing edgekit" in err
    checks = {check["name"]: check for check in said["doctor"]["checks"]}
    assert str(board.folder / "venv") in checks["Python"]["value"] and checks["TensorRT"]["value"].startswith("10.3.0")
    # What runs there is what was copied.
    code = "import edgekit, numpy; print(edgekit.__file__)"
    python = [board.folder / "venv" / "bin" / "python", "-c", code]
    where = subprocess.check_output(python, cwd="/", env={}, text=True)
    assert where.startswith(str(board.folder / "venv" / "lib"))
    assert main(["verify", str(jetson_bundle), "--precision", "fp32", "--on", "orin"]) == 0

    # Again: the wheels that are there stay, a changed edgekit is noticed, the environment is kept.
    marker = board.folder / "venv" / "kept"
    marker.touch()
    (digest,) = board.folder.glob("venv/lib/*/site-packages/edgekit-*.dist-info/digest")
    digest.write_text("older")
    before = {p.name: p.stat().st_mtime_ns for p in (board.folder / "wheelhouse").iterdir()}
    assert before.keys() == set(said["wheels"])
    assert main(["verify", str(jetson_bundle), "--precision", "fp32", "--on", "orin"]) == 2
    for file in index.folder.iterdir():
        file.unlink()
    assert main(["board", "install", "orin"]) in (0, 1)
    assert {p.name: p.stat().st_mtime_ns for p in (board.folder / "wheelhouse").iterdir()} == before
    assert digest.read_text() == install.package_digest() and marker.exists()
    assert "this machine" in capsys.readouterr().out


@pytest.mark.slow
def test_a_board_of_another_architecture(board, index, tmp_path, capsys):
    """Its Python says that it is an aarch64; then that it is one nobody makes wheels for."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os\nreal = os.uname()\nos.uname = lambda: os.uname_result((*real[:4], os.environ['MACHINE']))\n"
    )
    board.environ(PYTHONPATH=f"{site}:{TESTS / 'fakes'}", MACHINE="aarch64")
    capsys.readouterr()
    assert main(["board", "install", "orin", "--json"]) in (0, 1)
    said = json.loads(capsys.readouterr().out)
    compiled = [name for name in said["wheels"] if "manylinux" in name]
    assert {name.partition("-")[0] for name in compiled} == COMPILED
    assert all("aarch64" in name and "x86_64" not in name for name in compiled)
    assert set(said["wheels"]) == {p.name for p in (board.folder / "wheelhouse").iterdir()}
    assert said["hello"]["machine"] == "aarch64"
    board.environ(MACHINE="armv7l")
    assert main(["board", "install", "orin", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["what"] == "board 'orin': its architecture is armv7l, for which there are no wheels"


@pytest.mark.slow
def test_pycuda_is_compiled_there_and_that_is_said(board, index, tmp_path, capsys):
    site = tmp_path / "site"
    site.mkdir()
    (site / "tensorrt").symlink_to(TESTS / "fakes" / "tensorrt")
    board.environ(PYTHONPATH=str(site))
    capsys.readouterr()
    assert main(["board", "install", "orin"]) == 1  # the doctor finds that this pycuda does not load
    out, err = capsys.readouterr()
    assert "pycuda-2025.1.tar.gz has no wheel and is compiled there" in err
    assert list(board.folder.glob("venv/lib/*/site-packages/pycuda.py"))
    assert "no CUDA here" in " ".join(out.split())


def test_a_step_that_fails_there(board, index, capsys, tmp_path):
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    python.write_text(
        f'#!/bin/sh\n[ "$2" = venv ] && echo "apt install python3-venv" && exit 1\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    board.environ(PATH=f"{python.parent}:{board.environment['PATH']}")
    assert main(["board", "install", "orin"]) == 2
    err = capsys.readouterr().err
    assert "a step of the installation failed there with exit code 1" in err and "apt install python3-venv" in err
    assert "making an environment" in err.partition("where:")[2]


@pytest.mark.parametrize(
    ("python", "machine", "said"),
    [("3.8.10", "aarch64", "its Python is 3.8.10"), ("3.12.3", "armv7l", "its architecture is armv7l")],
)
def test_boards_that_cannot_have_it(python, machine, said):
    with pytest.raises(EdgekitError, match=said):
        install.check_board(hello(python, machine), "orin")
    install.check_board(hello(), "orin")
    install.check_board(hello("3.13.0", "x86_64"), "orin")


@pytest.mark.parametrize(("python", "tag", "numpy"), [("3.10.12", "cp310", "1.26.4"), ("3.12.3", "cp312", "2.2.0")])
def test_the_wheelhouse_is_for_the_boards_python_and_not_for_this_one(index, python, tag, numpy):
    found = install.wheelhouse(hello(python), pycuda=True)
    compiled = [name for name in found.files if "manylinux" in name]
    assert len(compiled) == len(COMPILED) and all(tag in name and "aarch64" in name for name in compiled)
    needed = NEEDED | {"numpy": numpy}  # below 2 on JetPack 6, as its OpenCV wants it
    wanted = {f"{name}-{version}" for name, version in needed.items()} | {f"{name}-80.0" for name in FOR_PYCUDA}
    extra = {"pygments-2.19.0", "pycuda-2025.1.tar.gz", f"edgekit-{__version__}"}
    assert names(found) == wanted | extra
    assert names(install.wheelhouse(hello(python), pycuda=False)) == names(found) - {"pycuda-2025.1.tar.gz"} - {
        f"{name}-80.0" for name in FOR_PYCUDA
    }


def test_a_wheelhouse_that_cannot_be_had(index):
    absent = "3.11.0" if HERE == "cp313" else "3.13.0"
    with pytest.raises(EdgekitError, match="the wheels for the board cannot be had: No matching distribution found"):
        install.wheelhouse(hello(absent), pycuda=False)


def test_the_own_wheel_is_this_edgekit_and_always_the_same(tmp_path):
    first, second = install.own_wheel(tmp_path / "a"), install.own_wheel(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()
    package = Path(install.edgekit.__file__).parent
    with zipfile.ZipFile(first) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    files = {n: c for n, c in contents.items() if n.startswith("edgekit/")}
    assert files == {f"edgekit/{p.relative_to(package)}": p.read_bytes() for p in install.package_files()}
    assert "edgekit/boards/boards.yaml" in files and not any("__pycache__" in name for name in files)
    info = f"edgekit-{__version__}.dist-info"
    assert contents[f"{info}/digest"].decode() == install.package_digest()
    assert b"Requires-Dist: numpy" in contents[f"{info}/METADATA"]
    assert {line.partition(",")[0] for line in contents[f"{info}/RECORD"].decode().splitlines()} == set(contents)
