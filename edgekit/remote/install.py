"""edgekit for a board: its own wheel, what it needs as wheels for the board, and the steps that install them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import edgekit
from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, cache_folder, make_cache, sha256, write_text
from edgekit.frames.locks import locked
from edgekit.remote.agent import FOLDER
from edgekit.remote.job import BoardStep, Copy

WHEELHOUSE = "wheelhouse"
_MACHINES = ("aarch64", "x86_64")
_PACKAGE = Path(edgekit.__file__).parent
_DIGEST = "digest"  # in the wheel's .dist-info: which edgekit it is
# What pycuda needs, to run and to be compiled. pip judges "only for older Pythons" by the Python that runs it, which is
# not the board's: such packages are named.
_FOR_FILMS = "av>=14.2"
_FOR_PYCUDA = ("pytools", "platformdirs", "mako", "setuptools", "wheel", "typing_extensions", "numpy")
_LEAST_PYTHON = (3, 10)


def check_board(hello: dict[str, Any], name: str) -> None:
    """EdgekitError where edgekit cannot be installed on such a board."""
    if version(hello["python"]) < _LEAST_PYTHON:
        what = f"board '{name}': its Python is {hello['python']}, edgekit needs 3.10"
        raise EdgekitError(
            what,
            where=f"{name}: python3",
            fix="JetPack 6 or newer has it; on JetPack 5 see the end of docs/jetson_install.md",
        )
    if hello["machine"] not in _MACHINES:
        what = f"board '{name}': its architecture is {hello['machine']}, for which there are no wheels"
        raise EdgekitError(
            what,
            where=f"{name}: uname -m",
            fix=f"a Jetson is aarch64; boards are {' or '.join(_MACHINES)}, with a 64-bit system",
        )


def check_installed(hello: dict[str, Any], name: str) -> None:
    """EdgekitError unless the board has the very edgekit that runs here, for the Python that it has now."""
    installed, here = hello["installed"], version(hello["python"])
    again = f"edgekit board install {name}"
    if installed is None:
        raise EdgekitError(f"board '{name}': edgekit is not installed there", where=f"{name}: edgekit", fix=again)
    if version(installed["python"]) != here:
        what = f"board '{name}': edgekit was installed for Python {installed['python']}, it has {hello['python']} now"
        raise EdgekitError(what, where=f"{name}: edgekit", fix=again)
    if installed["digest"] != package_digest():
        raise EdgekitError(
            f"board '{name}': the edgekit there is another one than the one here", where=f"{name}: edgekit", fix=again
        )


def version(python: str) -> tuple[int, int]:
    """``"3.10.12"`` → (3, 10)."""
    major, minor = python.split(".")[:2]
    return int(major), int(minor)


def package_files() -> list[Path]:
    return sorted(f for f in _PACKAGE.rglob("*") if f.is_file() and "__pycache__" not in f.parts)


def package_digest() -> str:
    """SHA-256 of this edgekit's own files and their names."""
    found = hashlib.sha256()
    for file in package_files():
        found.update(f"{file.relative_to(_PACKAGE)} {sha256(file)}\n".encode())
    return found.hexdigest()


def own_wheel(folder: Path) -> Path:
    """This edgekit as a wheel, made of its installed files; the same files give the same bytes.

    PyPA, "Binary distribution format": https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    about = metadata.distribution("edgekit")
    info = f"edgekit-{edgekit.__version__}.dist-info"
    contents = {f"edgekit/{file.relative_to(_PACKAGE)}": file.read_bytes() for file in package_files()}
    contents[f"{info}/METADATA"] = str(about.metadata).encode()
    contents[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: edgekit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    contents[f"{info}/entry_points.txt"] = b"[console_scripts]\nedgekit = edgekit.cli.main:main\n"
    contents[f"{info}/{_DIGEST}"] = package_digest().encode()
    contents[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*contents, f"{info}/RECORD"]).encode()
    path = folder / f"edgekit-{edgekit.__version__}-py3-none-any.whl"
    with atomic_write(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def wheelhouse(hello: dict[str, Any], pycuda: bool) -> Copy:
    """Everything that is installed on such a board, downloaded once and kept. EdgekitError with pip's own words."""
    python = ".".join(map(str, version(hello["python"])))
    wanted = [text for text in metadata.requires("edgekit") or () if "extra ==" not in text]
    if python == "3.10":
        wanted.append("numpy<2")  # JetPack 6: its OpenCV is compiled for numpy 1
    wanted.append(_FOR_FILMS)
    if pycuda:
        wanted += _FOR_PYCUDA
    key = hashlib.sha256("\n".join([*wanted, hello["glibc"], edgekit.__version__]).encode()).hexdigest()[:8]
    folder = cache_folder() / WHEELHOUSE / f"{hello['machine']}-python{python}-{key}"
    make_cache(folder.parent)
    with locked(folder, "the wheelhouse is being made by another process", patience=600.0):
        whole = folder / "whole"
        if not whole.exists():
            target = ["--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
            _download(folder, [*target, *_platforms(hello), *wanted])
            if pycuda:
                _download(folder, ["--no-deps", "--no-binary=pycuda", "pycuda"])
            write_text(whole, "")
        own_wheel(folder)
        return Copy(WHEELHOUSE, {p.name: p for p in sorted(folder.iterdir()) if p.suffix in (".whl", ".gz", ".zip")})


def steps(hello: dict[str, Any], wheels: Copy, as_json: bool) -> list[BoardStep]:
    """Make the environment, install from the wheelhouse without a network, and let the doctor look at the board."""
    python, place = f"{FOLDER}/venv/bin/python", f"{FOLDER}/{WHEELHOUSE}"
    pip = f"{python} -m pip --disable-pip-version-check install --quiet --no-index --find-links {place}".split(" ")
    kept = hello["installed"] is not None and version(hello["installed"]["python"]) == version(hello["python"])
    make = ["python3", "-m", "venv", "--system-site-packages", f"{FOLDER}/venv"]
    found = [] if kept else [BoardStep([*make, "--clear"], "edgekit: making an environment\n")]
    # As files: else pip would leave what the system has of any version.
    needed = [f"{place}/{name}" for name in wheels.files if not name.startswith(("edgekit-", "pycuda-"))]
    found.append(BoardStep([*pip, *needed], "edgekit: installing what it needs\n"))
    found.append(BoardStep([*pip, "--no-deps", "--force-reinstall", "edgekit"], "edgekit: installing edgekit\n"))
    if compiled := [name for name in wheels.files if name.startswith("pycuda-")]:
        say = f"edgekit: {compiled[0]} has no wheel and is compiled there, which takes minutes\n"
        found.append(BoardStep([*pip, "--no-build-isolation", "pycuda"], say))
    doctor = [f"{FOLDER}/venv/bin/edgekit", "doctor", "--folder", FOLDER, *(["--json"] if as_json else [])]
    return [*found, BoardStep(doctor, prints=True)]


def _platforms(hello: dict[str, Any]) -> list[str]:
    """The board's glibc and older ones, as PEP 600 names them, and the older names for some."""
    minor = int(hello["glibc"].partition(".")[2] or 17)
    names = [f"manylinux_2_{n}" for n in range(minor, 16, -1)] + ["manylinux2014", "linux"]
    return [part for name in names for part in ("--platform", f"{name}_{hello['machine']}")]


def _download(folder: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "-d", str(folder)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = [line[7:] for line in done.stderr.splitlines() if line.lower().startswith("error: ")] or ["pip failed"]
        what = f"the wheels for the board cannot be had: {said[-1]}"
        fix = "check this machine's network; `python -m pip config list` shows which index pip asks"
        raise EdgekitError(what, where=str(folder), fix=fix)
