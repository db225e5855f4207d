"""build.sh, run by a POSIX shell with something in trtexec's place that writes down how it was called."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from edgekit.boards.table import table, within
from edgekit.bundle.manifest import Profile, Ranges
from edgekit.engine.calibration_cache import scale_table, write_cache
from edgekit.errors import EdgekitError
from edgekit.export.build_script import build_script, profile_options
from edgekit.export.lanes import ARTIFACT_ROWS

SHELL = shutil.which("dash") or "/bin/sh"

TRTEXEC = """\
#!/bin/sh
if [ "$1" = --help ]; then
  echo "&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] # trtexec --help"
  echo "{flags}"
  exit {help_status}
fi
echo "$@" >> calls
for word in "$@"; do
  case $word in --saveEngine=*) echo engine > "${{word#--saveEngine=}}" ;; esac
done
exit {status}
"""


RANGES = Ranges("entropy", 8, {"input": (-2.0, 127.0), "a:b": (-254.0, 1.0), "dead": (0.0, 0.0)}, (), "", "", "")


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "a bundle"
    folder.mkdir()
    (folder / "build.sh").write_text(build_script(ARTIFACT_ROWS))
    (folder / "ranges.txt").write_text(scale_table(RANGES.tensors))
    return folder


def build(
    folder: Path, *wanted: str, version: str, flags: str = "--skipInference --stronglyTyped", status: int = 0, env=None
) -> tuple[subprocess.CompletedProcess, list[str]]:
    trtexec = folder / "trtexec"
    trtexec.write_text(TRTEXEC.format(version=version, flags=flags, status=status, help_status=1))
    trtexec.chmod(0o755)
    (folder / "calls").unlink(missing_ok=True)
    done = subprocess.run(
        [SHELL, str(folder / "build.sh"), *wanted],
        env={"PATH": "/usr/bin:/bin", "TRTEXEC": str(trtexec), **(env or {})},
        capture_output=True,
        text=True,
    )
    return done, (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def engines(folder: Path) -> set[str]:
    return {p.name for p in (folder / "engines").glob("*.engine")}


def test_tensorrt_10_builds_every_lane(bundle):
    done, calls = build(bundle, version="100300")
    assert done.returncode == 0, done.stderr
    assert engines(bundle) == {f"{a.lane}-{a.precision}-100300.engine" for a in ARTIFACT_ROWS if a.tensorrt}
    by_file = {call.split()[0].removeprefix("--onnx="): call for call in calls}
    assert "--stronglyTyped" in by_file["int8-strong.onnx"] and "--fp16" not in by_file["int8-strong.onnx"]
    assert "--int8 --fp16" in by_file["int8-weak.onnx"]
    assert all("--skipInference" in call and "--memPoolSize=workspace:1024" in call for call in calls)
    assert not list((bundle / "engines").glob("*.part"))


def test_jetpack_5_builds_the_weak_and_cache_lanes_with_its_own_words(bundle):
    done, calls = build(bundle, version="8502", flags="--buildOnly")
    assert done.returncode == 0
    assert {name.split("-")[0] for name in engines(bundle)} == {"weak", "cache"}
    assert all("--buildOnly" in call and "--skipInference" not in call for call in calls)
    assert "strong/int8 is not for TensorRT 8.5" in done.stderr


def test_tensorrt_11_builds_what_is_strongly_typed_whether_or_not_a_flag_says_so(bundle):
    done, calls = build(bundle, version="110400", flags="--skipInference")
    assert done.returncode == 0
    assert {name.split("-")[0] for name in engines(bundle)} == {"strong"}
    assert not any("stronglyTyped" in call for call in calls)


def test_the_cache_carries_the_version_that_is_installed(bundle):
    _, calls = build(bundle, "cache/int8", version="8601", env={"DLA": "1"})
    assert "--useDLACore=1 --allowGPUFallback" in calls[0]
    path = next(w for w in calls[0].split() if w.startswith("--calib=")).removeprefix("--calib=")
    head, *lines = (bundle / path).read_text().splitlines()
    assert head == "TRT-8601-EntropyCalibration2"
    scales = {n: struct.unpack(">f", bytes.fromhex(h))[0] for n, h in (line.rsplit(": ", 1) for line in lines)}
    assert scales == {"input": 1.0, "a:b": 2.0, "dead": 1.0}
    assert all(len(line.rsplit(": ", 1)[1]) == 8 for line in lines)


def test_the_cache_is_the_one_that_edgekit_build_gives_tensorrt(bundle):
    build(bundle, "cache/int8", version="8601")
    assert (bundle / "engines" / "calibration-8601.cache").read_bytes() == write_cache(RANGES.tensors, "8.6.1")


@pytest.mark.parametrize(
    "version",
    sorted({j.tensorrt for j in table().jetpacks.values()} | {"8.4.1", "8.5.0", "9.3.0", "10.16.1", "11.0.0"}),
)
def test_the_script_and_edgekit_agree_on_what_a_version_builds(bundle, version):
    """The shell compares versions by arithmetic of its own."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    number = 10000 * major + 100 * minor + patch if major >= 10 else 1000 * major + 100 * minor + patch
    build(bundle, version=str(number))
    expected = [a for a in ARTIFACT_ROWS if a.tensorrt and within(version, *a.tensorrt)]
    assert engines(bundle) == {f"{a.lane}-{a.precision}-{number}.engine" for a in expected}


def test_a_lane_that_is_named_is_built_alone_or_refused(bundle):
    done, calls = build(bundle, "weak/int8", version="100300")
    assert done.returncode == 0 and len(calls) == 1
    done, _ = build(bundle, "weak/int8", version="110400")
    assert done.returncode == 1 and "not for TensorRT 11.4" in done.stderr
    done, _ = build(bundle, "int8", version="100300")
    assert done.returncode == 2 and "weak/int8" in done.stderr


def test_a_failed_build_leaves_no_engine(bundle):
    done, _ = build(bundle, version="100300", status=1)
    assert done.returncode != 0 and engines(bundle) == set()


def test_without_trtexec_it_says_how_to_name_it(bundle):
    done = subprocess.run(
        [SHELL, str(bundle / "build.sh")],
        env={"PATH": "/usr/bin:/bin", "TRTEXEC": "/nowhere/trtexec"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "TRTEXEC=" in done.stderr


def test_open_dimensions_go_in_as_shapes(tmp_path):
    frames = Profile((1, 32, 48, 3), (1, 64, 96, 3), (8, 128, 192, 3))
    assert profile_options({}) == ""
    assert profile_options({"frames": frames, "frames_heat": frames.with_side(3, 1)}).split()[2] == (
        "--maxShapes=frames:8x128x192x3,frames_heat:8x128x192x1"
    )
    opened = profile_options({"frames": frames})
    (tmp_path / "build.sh").write_text(build_script(ARTIFACT_ROWS, {row.key: opened for row in ARTIFACT_ROWS}))
    (tmp_path / "ranges.txt").write_text(scale_table(RANGES.tensors))
    _, calls = build(tmp_path, "weak/fp16", version="100300")
    shapes = "--minShapes=frames:1x32x48x3 --optShapes=frames:1x64x96x3 --maxShapes=frames:8x128x192x3"
    assert shapes in calls[0]


def test_a_bundle_for_the_cpu_has_no_script():
    with pytest.raises(ValueError, match="TensorRT"):
        build_script([a for a in ARTIFACT_ROWS if a.tensorrt is None])


def test_it_builds_in_its_own_folder_whatever_cd_searches(bundle, tmp_path):
    """CDPATH sends a relative ``cd`` elsewhere, and has it print where."""
    (tmp_path / "elsewhere" / bundle.name).mkdir(parents=True)
    build(bundle, version="100300")  # writes the program in trtexec's place
    shutil.rmtree(bundle / "engines")
    done = subprocess.run(
        [SHELL, f"{bundle.name}/build.sh"],
        cwd=bundle.parent,
        env={"PATH": "/usr/bin:/bin", "TRTEXEC": str(bundle / "trtexec"), "CDPATH": str(tmp_path / "elsewhere")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert engines(bundle) and not any((tmp_path / "elsewhere" / bundle.name).iterdir())


@pytest.mark.parametrize("name", ["a\nb", "a\r", "\u2028", ""])
def test_a_tensor_that_would_break_the_table_is_refused(name):
    with pytest.raises(EdgekitError, match="cannot hold the tensor"):
        scale_table({"x": (0.0, 1.0), name: (0.0, 1.0)})
