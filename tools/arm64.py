"""The device half on emulated aarch64: a bundle's golden frames, and the tests. Slow, run by hand.

    python tools/arm64.py                          # what is needed, then the device half's tests
    python tools/arm64.py --bundle bundles/uav-cpu # its golden frames, every precision
    python tools/arm64.py --tests tests/bundle

On Debian, x86-64, as root (debootstrap asks for it). Nothing is installed: qemu-user, proot and debootstrap are
unpacked from the distribution's packages into --folder, beside a root of Debian arm64 and the wheels for aarch64. proot
hands every program that is started to qemu, so that the kernel need not know aarch64. Each folder of tests has its log
in --folder's logs; a run that was killed goes on behind those that came to their end, so remove the logs to begin anew.
Emulated time says nothing of a board's.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from device_pythons import ROOT, device_tests
from real_bindings import install

SUITE, PYTHON = "bookworm", "3.11"
TOOLS = ("qemu-user-static", "proot", "libtalloc2", "debootstrap")
CORE = ("numpy", "click", "pyyaml", "rich", "pillow", "av", "opencv-python-headless")
REFERENCES = ("pytest", "pip", "setuptools", "wheel", "hypothesis", "scipy", "matplotlib", "onnx", "imageio-ffmpeg")
PYTEST = ("-m", "pytest", "-p", "no:cacheprovider")
ONNXRUNTIME = "onnxruntime==1.27.0"  # 1.28 and 1.32 end in a segmentation fault when they are imported under qemu 7.2
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")


def _mirror() -> str:
    """Where this machine's own packages come from."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {SUITE}"]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    if not found:
        sys.exit(f"apt knows no source of Debian {SUITE}")
    return found[0]


def prepare(folder: Path) -> None:
    """Download and unpack what is not there yet. CalledProcessError, of pip Unavailable, where that fails."""
    tools, root, site = folder / "tools", folder / "root", folder / "site"
    if not tools.exists():
        part = _fresh(folder / "tools.part")
        subprocess.run(["apt-get", "download", *TOOLS], cwd=part, check=True)
        _unpack(part, part)
        part.rename(tools)
    if not root.exists():
        part = _fresh(folder / "root.part")
        environment = {**os.environ, "DEBOOTSTRAP_DIR": str(tools / "usr/share/debootstrap")}
        command = ["sh", str(tools / "usr/sbin/debootstrap"), "--foreign", "--arch=arm64", "--variant=minbase"]
        subprocess.run([*command, "--include=python3", SUITE, str(part), _mirror()], env=environment, check=True)
        _unpack(part / "var/cache/apt/archives", part)
        part.rename(root)
    if not site.exists():
        part = _fresh(folder / "site.part")
        target = ["--python-version", PYTHON, "--implementation", "cp"]
        target += [word for name in PLATFORMS for word in ("--platform", name)]
        install(part, *target, *CORE, *REFERENCES, ONNXRUNTIME)
        part.rename(site)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _unpack(packages: Path, into: Path) -> None:
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(into)], check=True)


def emulated(folder: Path, *arguments: str, said: IO | None = None) -> int:
    """Run Python on aarch64 in the repository's folder, what it says into a file; its exit code."""
    tools = folder / "tools"
    proot = [str(tools / "usr/bin/proot"), "-q", str(tools / "usr/bin/qemu-aarch64-static"), "-r", str(folder / "root")]
    binds = [word for place in ("/proc", "/dev", "/sys", "/tmp", str(ROOT), str(folder)) for word in ("-b", place)]
    path = f"PYTHONPATH={folder / 'site'}:{ROOT}"
    inside = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", path, "/usr/bin/python3"]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tools / "usr/lib/x86_64-linux-gnu")}
    command = [*proot, *binds, "-w", str(ROOT), *inside, *arguments]
    return subprocess.run(command, env=environment, stdout=said, check=False).returncode


def run_tests(folder: Path, tests: list[str]) -> int:
    """Each folder of tests in a process of its own, what it says in a log of its own; 1 where one did not pass.

    A folder whose log has pytest's last line is not run again, so that a killed run goes on.
    """
    ends = {}
    for place, files in itertools.groupby(tests, key=lambda test: Path(test).parent):
        log = folder / "logs" / f"{'.'.join(place.parts)}.log"
        log.parent.mkdir(exist_ok=True)
        if not _end(log):
            with log.open("w", encoding="utf-8") as said:
                emulated(folder, "-u", *PYTEST, "-v", "-rsfE", *files, said=said)
        ends[place] = _end(log) or f"no end, see {log}"
        print(f"{place}: {ends[place]}", flush=True)
    for word in ("passed", "skipped", "failed", "error"):
        print(word, sum(int(n) for end in ends.values() for n in re.findall(rf"(\d+) {word}", end)))
    return int(any(re.search("no end|failed|error", end) for end in ends.values()))


def _end(log: Path) -> str | None:
    """What pytest's last line counts; None where it did not come so far."""
    found = re.search(r"^=+ (.* in .*s.*) =+\s*\Z", log.read_text(encoding="utf-8"), re.M) if log.exists() else None
    return found and found[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "arm64")
    parser.add_argument("--bundle", type=Path, help="verify its golden frames, and run no tests")
    parser.add_argument("--tests", nargs="+", default=None, help="default: all of the device half, a folder at a time")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    prepare(folder)
    emulated(folder, "-c", "import platform, sys; print(platform.machine(), sys.version)")
    if asked.bundle:
        said = [
            emulated(folder, "-m", "edgekit", "verify", str(asked.bundle), "--precision", precision)
            for precision in ("fp32", "int8")
        ]
        return max(said)
    if asked.tests:
        return emulated(folder, *PYTEST, "-q", "-rsfE", *asked.tests)
    return run_tests(folder, device_tests())


if __name__ == "__main__":
    sys.exit(main())
