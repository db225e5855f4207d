"""What is printed arrives in any encoding, and where it cannot be written that is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import click
import pytest
from PIL import Image

from edgekit.cli.main import COMMANDS, INTERNAL_FAULT, READER_GONE, UNPRINTED
from edgekit.cli.output import json_option
from edgekit.cli.printing import printing

FULL = Path("/dev/full")
COMMAND = [sys.executable, "-m", "edgekit"]


def run(*arguments: str, encoding: str = "utf-8", **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "200"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([*COMMAND, *arguments], env=environment, check=False, **options)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
@pytest.mark.parametrize(
    "words", [["distill", "--help"], ["bundle", "inspect", "B"], ["verify", "B", "--threads", "1", "--json"]]
)
def test_commands_end_well_in_every_encoding(tiny_bundle, words, encoding):
    done = run(*[str(tiny_bundle) if word == "B" else word for word in words], encoding=encoding)
    assert done.returncode == 0, done.stderr.decode(encoding, "replace")
    said = done.stdout.decode(encoding)
    assert said.strip() and "\ufffd" not in said
    if "--json" in words:
        assert json.loads(said)["bundle" if words[0] == "verify" else "name"] in (str(tiny_bundle), "tiny")


@pytest.mark.slow
def test_what_measures_estimates_and_exports_ends_well_too(tiny_bundle, tmp_path):
    """Class names of another script are among what is printed."""
    student = pytest.importorskip("edgekit.students.student")
    task = student.Task("semantic", "semantic", classes=("Wald", "森林"))
    student.Student("repseg", [task], width=16).save(tmp_path / "student.pt")
    (tmp_path / "frames").mkdir()
    for i in range(2):
        Image.new("RGB", (96, 64), (90 * i, 140, 220)).save(tmp_path / "frames" / f"{i}.png")
    quick = ("--duration", "0", "--runs", "3", "--warm-up", "0", "--threads", "1")
    for words in (
        ("bench", str(tiny_bundle), *quick),
        ("estimate", str(tmp_path / "student.pt"), "--board", "orin-nano-8gb", "--jetpack", "6.2"),
        ("export", str(tmp_path / "student.pt"), "--frames", str(tmp_path / "frames"), "--precision", "fp32",
         "--out", str(tmp_path / "out")),
        ("bundle", "inspect", str(tmp_path / "out")),
    ):  # fmt: skip
        done = run(*words, encoding="ascii")
        assert done.returncode == 0, done.stderr.decode("ascii", "replace")
        said = done.stdout.decode("ascii")
        assert said.strip() and "\ufffd" not in said, words


def test_what_cannot_be_encoded_is_spelled_out(tiny_bundle):
    limits = {}
    for encoding in ("utf-8", "ascii", "latin-1"):
        said = run("verify", str(tiny_bundle), "--threads", "1", encoding=encoding).stdout.decode(encoding)
        limits[encoding] = [word for word in said.split() if word in ("≥", "≤", ">=", "<=")]
    plain = [{"≥": ">=", "≤": "<="}[sign] for sign in limits["utf-8"]]
    assert plain and limits["ascii"] == limits["latin-1"] == plain


TEXT = "Wald → 森林 ≤ 5 m² – “é” \udcff"
SAID = {
    "ascii": 'Wald -> \\u68ee\\u6797 <= 5 m^2 - "\\xe9" \\udcff',
    "latin-1": 'Wald -> \\u68ee\\u6797 <= 5 m² - "é" \\udcff',
    "utf-8": "Wald → 森林 ≤ 5 m² – “é” \\udcff",
}
PROBE = """
import sys, types, click
from edgekit.cli.main import COMMANDS, main
from edgekit.cli.output import json_option, print_json, print_rich
from edgekit.errors import EdgekitError

TEXT = {text!r}
def command(as_json, how):
    if how == "error":
        raise EdgekitError(TEXT)
    if how == "bars":
        from edgekit.cli.progress import progress_bars
        with progress_bars() as update:
            update("x", 0.5)
    if how == "many":
        for _ in range(20000):
            click.echo(TEXT)
    print(TEXT, file=sys.stderr)
    print_json({{"text": TEXT}}) if as_json else print_rich(TEXT) if how == "rich" else click.echo(TEXT)
module = types.ModuleType("probe")
module.command = click.command("probe")(click.argument("how", default="")(json_option(command)))
sys.modules["probe"] = module
COMMANDS["probe"] = ("probe", "")
{before}
sys.exit(main(sys.argv[1:]))
"""


def probe(*arguments: str, before: str = "", encoding: str = "utf-8", shell: str = "", **options):
    code = PROBE.format(text=TEXT, before=before)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-c", code, "probe", *arguments]
    if shell:
        command = ["sh", "-c", f'"$@" {shell}', "sh", *command]
    return subprocess.run(command, env=environment, check=False, **options)


@pytest.mark.parametrize("encoding", SAID)
def test_any_text_is_printed(encoding):
    done = probe("rich", encoding=encoding)
    assert done.returncode == 0 and done.stdout.decode(encoding).strip() == SAID[encoding]
    assert done.stderr.decode(encoding).strip() == SAID[encoding]
    done = probe("error", encoding=encoding)
    assert done.returncode == 2 and done.stderr.decode(encoding).strip() == f"edgekit: {SAID[encoding]}"
    done = probe("--json", encoding=encoding)
    assert json.loads(done.stdout.decode(encoding)) == {"text": TEXT}  # data stays what it is


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("arguments", [["rich"], ["many"], ["error", "--json"]])
def test_a_full_disk_behind_stdout_is_said(arguments):
    with FULL.open("wb") as full:
        done = probe(*arguments, stdout=full)
    said = done.stderr.decode()
    assert done.returncode == UNPRINTED and "the result cannot be written to stdout: No space left on device" in said
    assert "Traceback" not in said and "Exception ignored" not in said


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("how", ["bars", "many"])
def test_work_goes_on_where_stderr_takes_nothing(how):
    with FULL.open("wb") as full:
        for done in (probe(how, stderr=full), probe(how, shell="2>&-"), probe(how, shell="2>&- <&-")):
            assert done.returncode == 0 and SAID["utf-8"] in done.stdout.decode()
        done = probe("error", "--json", stderr=full)
        assert done.returncode == 2 and json.loads(done.stdout)["error"]["what"] == TEXT
    assert json.loads(probe("--json", shell="2>&-").stdout) == {"text": TEXT}  # and nothing else


def test_a_closed_stream_leads_nowhere(tmp_path):
    """And not into the next file that is opened, which would have its number."""
    target = tmp_path / "file"
    opened = f"import os; file = open({str(target)!r}, 'w')"
    in_command = f"import click; inner = command; command = lambda **k: (exec({opened!r}, globals()), inner(**k))"
    code = in_command + "; module.command.callback = command"
    for shell in (">&-", "2>&-", ">&- 2>&- <&-"):
        done = probe("", before=code, shell=shell)
        assert done.returncode == 0 and target.read_text() == "", shell
        target.unlink()


def test_a_reader_that_has_gone_is_no_fault():
    done = probe("many", shell="| head -n 1; exit 7")
    assert done.stdout.decode().strip() == SAID["utf-8"] and "Traceback" not in done.stderr.decode()
    read, write = os.pipe()
    os.close(read)
    try:
        done = probe("many", stdout=write)
    finally:
        os.close(write)
    assert done.returncode == READER_GONE and b"Broken pipe" not in done.stderr


def test_the_streams_are_given_back(monkeypatch, capsys):
    from edgekit.cli.main import main

    def body(as_json: bool) -> None:
        raise ZeroDivisionError

    module = types.ModuleType("planted_streams")
    module.command = click.command("probe")(json_option(body))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(COMMANDS, "probe", (module.__name__, ""))
    before = sys.stdout, sys.stderr
    assert main(["--version"]) == 0 and main(["probe"]) == INTERNAL_FAULT
    assert (sys.stdout, sys.stderr) == before


def test_what_keeps_stderr_may_close_it_as_python_ends(capsys):
    """As absl's logging does, which OpenVINO brings along."""
    with printing():
        kept = sys.stderr
    kept.close()
    print("still here", file=sys.stderr)
    assert capsys.readouterr().err == "still here\n"
