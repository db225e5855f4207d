"""Are the lower bounds in pyproject.toml true? Runs the device half's tests with the oldest releases they allow.

    python tools/oldest_versions.py --python python3.10

The script itself needs Python 3.11 (tomllib). The tests run in an environment of their own that is thrown away;
``--python`` must be old enough for wheels of the oldest releases to exist.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[1]
TESTS = (
    "tests/tasks",
    "tests/frames",
    "tests/bundle",
    "tests/runtime",
    "tests/cli/test_main.py",
    "tests/cli/test_bundle_commands.py",
    "tests/test_device_half.py",
)
# What these tests compare with, and make networks of, out of the extras.
REFERENCES = ("hypothesis", "matplotlib", "onnx", "pytest", "scipy")


def oldest(requirements: list[str]) -> list[str]:
    """``name>=1.2`` as ``name==1.2.*``: releases add digits. ValueError for a requirement without exactly that form."""
    pins = []
    for requirement in requirements:
        name, least, version = requirement.partition(">=")
        if not least or not version.replace(".", "").isdigit():
            raise ValueError(f"'{requirement}' is not of the form name>=version")
        pins.append(f"{name}=={version}.*")
    return pins


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", default="python3.10", help="the Python to test with (default: %(default)s)")
    python = parser.parse_args().python

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    core = oldest([*project["dependencies"], *extras["cpu"]])
    references = oldest([r for r in (*extras["dev"], *extras["train"]) if r.partition(">=")[0] in REFERENCES])
    print("testing with", ", ".join(core), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        inside = str(Path(folder) / "bin" / "python")
        pip = [inside, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:"]
        subprocess.run([*pip, *core, *references], check=True)
        # Old releases warn about new Pythons; that is not what is asked here.
        return subprocess.run([inside, "-m", "pytest", "-q", "-W", "default", *TESTS], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
