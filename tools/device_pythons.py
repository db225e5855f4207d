"""Does the device half work with every Python it claims? Runs its tests under each one found on this machine.

    python tools/device_pythons.py                 # 3.10 to 3.13, those that are there
    python tools/device_pythons.py --only 3.12

Each gets an environment of its own that is thrown away: the core, the cpu extra, and what the tests compare with, at
the versions of constraints.txt. Neither torch nor pydantic is there. The script itself
needs Python 3.11 (tomllib).
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
REFERENCES = ("hypothesis", "matplotlib", "pytest", "pytest-xdist", "scipy", "onnx")  # onnx writes the tests' models
ABSENT = {"torch", "pydantic", "onnxscript", "onnxslim"}
ALWAYS = ("tests/test_device_half.py", "tests/cli/test_main.py")


def device_rooms() -> tuple[str, ...]:
    """The rooms of the device half, as the import contract in pyproject.toml names them."""
    contracts = _project_file()["tool"]["importlinter"]["contracts"]
    (half,) = [contract for contract in contracts if contract["type"] == "forbidden"]
    names = [module.removeprefix("edgekit.") for module in half["source_modules"]]
    return tuple(name for name in names if (ROOT / "edgekit" / name).is_dir())


def device_tests() -> list[str]:
    """Test files of the device half: those of its rooms, and of commands that import nothing else.

    A file that imports the workstation half (to make what it tests with) is left out.
    """
    found = {ROOT / name for name in ALWAYS}
    for room in device_rooms():
        found |= set((ROOT / "tests" / room).rglob("test_*.py"))
    for command in (ROOT / "edgekit" / "cli").glob("*.py"):
        test = ROOT / "tests" / "cli" / f"test_{command.stem}_command.py"
        if test.exists() and not _workstation_imports(command):
            found.add(test)
    return sorted(str(file.relative_to(ROOT)) for file in found if not _needs_workstation(file))


def pythons() -> dict[str, str]:
    """Version → executable, of those in ``PYTHONS`` that are on the path or under pyenv, and really run."""
    found = {}
    folders = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep)]
    folders += sorted((Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob("3.*/bin"))
    for version in PYTHONS:
        for folder in folders:
            candidate = folder / f"python{version}"
            if os.access(candidate, os.X_OK) and _version_of(candidate) == version:
                found[version] = str(candidate)
                break
    return found


def run(python: str, folder: Path) -> int:
    """Make an environment in ``folder`` and run the tests there; pytest's exit code.

    subprocess.CalledProcessError where the environment cannot be made.
    """
    project = _project_file()["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["cpu"]]
    wanted += [r for r in (*extras["dev"], *extras["train"]) if re.split(r"[><=\[]", r)[0] in REFERENCES]
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    inside = str(folder / "bin" / "python")
    pip = [inside, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-c", "constraints.txt"]
    subprocess.run([*pip, *wanted], cwd=ROOT, check=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *device_tests()]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _version_of(python: Path) -> str | None:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _project_file() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _imports(file: Path) -> set[str]:
    """Modules that a file imports, at the top or inside functions; ``from a import b`` gives ``a`` and ``a.b``."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _workstation_imports(file: Path) -> set[str]:
    rooms = {f"edgekit.{path.parent.name}" for path in (ROOT / "edgekit").glob("*/__init__.py")}
    workstation = rooms - {f"edgekit.{room}" for room in device_rooms()} - {"edgekit.cli"}
    names = {".".join(module.split(".")[:2]) for module in _imports(file)}
    return {name for name in names if name.partition(".")[0] in ABSENT or name in workstation}


def _needs_workstation(test: Path) -> bool:
    """Whether a test, or a conftest above it, imports what the device does not have."""
    conftests = [folder / "conftest.py" for folder in test.parents if folder.is_relative_to(ROOT / "tests")]
    return any(_workstation_imports(file) for file in (test, *conftests) if file.exists())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", choices=PYTHONS, action="append", help="this version; repeatable (default: all found)"
    )
    wanted = parser.parse_args().only or PYTHONS
    found, results = pythons(), {}
    for version in wanted:
        if version not in found:
            results[version] = "not on this machine"
            continue
        print(f"== Python {version}: {found[version]}", flush=True)
        folder = Path(tempfile.mkdtemp(prefix=f"edgekit-python{version}-"))
        try:
            results[version] = "passed" if run(found[version], folder) == 0 else "FAILED"
        except subprocess.CalledProcessError as error:
            results[version] = f"FAILED: {error}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    for version, result in results.items():
        print(f"Python {version}: {result}")
    return int(any(result.startswith("FAILED") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
