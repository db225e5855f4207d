"""`edgekit board check`: the checklist of docs/on_device.md as one command."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from edgekit.cli.main import main
from edgekit.remote import checklist

PAGE = Path(__file__).parents[2] / "docs" / "on_device.md"
# What a person does beside the checklist.
BY_HAND = ("bundles", "export", "board", "compare")


def report(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}


def test_a_short_list_ends_in_one_file(installed, jetson_bundle, tmp_path, capsys, monkeypatch):
    items = [
        ("edgekit doctor --json > report/doctor.json", (0, 1)),
        ("edgekit build uav --precision fp16", (0,)),
        ("edgekit build uav --precision fp16 --workspace 1000000", (2,)),
        ("echo 'to the log'; exit 3", range(256)),
    ]
    monkeypatch.setattr(checklist, "items", lambda soak: items)
    capsys.readouterr()
    words = ["board", "check", "orin", str(jetson_bundle), "--output", str(tmp_path / "r" / "report.tar.gz")]
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["holds"] and [step["exit_code"] for step in said["steps"]][1:] == [0, 2, 3]
    assert "edgekit: 2 of 4: edgekit build uav --precision fp16" in err
    found = report(Path(said["file"]))
    sidecars = {name for name in found if name.endswith(".plan.json")}
    assert len(sidecars) == 1 and set(found) - sidecars == {
        f"report/{name}" for name in ("doctor.json", "log.txt", "manifest.json")
    }
    assert json.loads(found["report/doctor.json"])["checks"]
    assert found["report/manifest.json"] == (jetson_bundle / "manifest.json").read_bytes()
    log = found["report/log.txt"].decode()
    assert "to the log" in log and "does not fit" in log and "kept: " in log
    assert [p.name for p in (jetson_bundle / "engines" / "orin").iterdir()] == [Path(s).name for s in sidecars]
    assert not list((installed.folder / "jobs").iterdir())

    items[3] = ("exit 3", (0,))
    assert main(words) == 1
    assert "otherwise than expected, exit code 3: exit 3" in capsys.readouterr().out
    assert main([*words, "--soak", "soon"]) == 2


def test_the_list_is_that_of_the_page():
    joined = "\n".join(line for line, _ in checklist.items("10m"))
    asked = []
    for block in re.findall(r"```\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for line in block.splitlines():
            asked += [
                part.strip() for part in re.findall(r"edgekit [a-z]+ [^;>#&]*", line) if "edgekit import" not in part
            ]
    asked = [words for words in asked if words.split()[1] not in BY_HAND and "FRAMES" not in words]
    assert len(asked) > 10
    assert [words for words in asked if words not in joined] == []
    assert "sh uav/build.sh" in joined and "dmesg" in joined
    clocks = [line for line, _ in checklist.items("10m") if "jetson_clocks" in line]
    kept = '"$PWD/report/clocks"'  # an existing file is asked about, and nobody answers
    assert f"--store {kept} && sudo -n jetson_clocks" in clocks[0] and clocks[-1].endswith(f"--restore {kept}")


def test_the_trtexec_command_of_the_measurement_is_run_too(tmp_path):
    (line,) = [line for line, _ in checklist.items("10m") if "trtexec" in line and "match" not in line]
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "bench.json").write_text(json.dumps({"trtexec": "echo trtexec --loadEngine='a b'; exit 3"}))
    done = subprocess.run(["bash", "--norc", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "trtexec --loadEngine=a b\n")


@pytest.mark.slow
def test_the_whole_list(installed, jetson_bundle, tmp_path, capsys):
    file = tmp_path / "report.tar.gz"
    capsys.readouterr()
    main(["board", "check", "orin", str(jetson_bundle), "--soak", "1s", "--output", str(file), "--json"])
    out, err = capsys.readouterr()
    wrong = [step["line"] for step in json.loads(out)["steps"] if not step["holds"]]
    # The fake is no GPU for the doctor and has no CUDA graphs; the fixture's bundle has no build.sh.
    expected = [
        item
        for item, _ in checklist.items("1s")
        if "doctor" in item or "--cuda-graph" in item or item.startswith("sh ")
    ]
    assert wrong == expected, err
    found = report(file)
    for name in ("bench", "soak", "verify", "build-best"):
        assert json.loads(found[f"report/{name}.json"])
    assert b"CUDA does not survive a fork" in found["report/log.txt"]
