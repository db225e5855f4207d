"""The group: laziness, exit codes, errors."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import types

import click
import pytest

from edgekit import __version__
from edgekit.cli import main as cli_main
from edgekit.cli.main import COMMANDS, main
from edgekit.cli.output import json_option, print_json
from edgekit.errors import EdgekitError


def run_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.fixture
def plant(monkeypatch):
    """Put a command whose body is the given function into the table, as a module of its own."""

    def plant(body, name: str = "probe") -> None:
        module = types.ModuleType(f"planted_{name}")
        module.command = click.command(name)(json_option(click.pass_context(body)))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(COMMANDS, name, (module.__name__, "A planted command."))

    return plant


def raising(error: BaseException):
    def body(ctx, as_json):
        raise error

    return body


def test_help_lists_every_command_with_its_line(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, (_, line) in COMMANDS.items():
        assert name in out and line in out
    assert "Example: edgekit recipe" in out


def test_help_imports_no_command_and_no_heavy_package():
    code = (
        "import sys; from edgekit.cli.main import main; assert main(['--help']) == 0;"
        "print(sorted(m for m in sys.modules if m.startswith('edgekit.')"
        " or m in ('rich', 'numpy', 'pydantic', 'yaml', 'torch', 'PIL')), file=sys.stderr)"
    )
    cli = ["edgekit.cli", "edgekit.cli.main", "edgekit.cli.output", "edgekit.cli.printing", "edgekit.errors"]
    assert run_python(code).stderr.strip() == str([*cli, "edgekit.frames", "edgekit.frames.terminal"])


def test_help_is_fast():
    def seconds() -> float:
        """Of processor time: on a busy machine the clock on the wall measures the neighbours."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "edgekit", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.3


def test_version(capsys):
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_python_dash_m_is_the_command():
    done = subprocess.run([sys.executable, "-m", "edgekit", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and __version__ in done.stdout


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert main(["recpie", "show"]) == 2
    out, err = capsys.readouterr()
    assert "did you mean 'recipe'?" in err and out == ""
    assert main(["xxxxxxxx"]) == 2
    assert f"commands: {', '.join(sorted(COMMANDS))}" in capsys.readouterr().err


@pytest.mark.parametrize("args", [[], ["--bogus"], ["recipe"], ["recipe", "show"], ["recipe", "nothing"]])
def test_usage_errors_exit_with_2(args, capsys):
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == "" and err != "" and "Traceback" not in err


def test_a_user_error_is_told_without_traceback(plant, capsys):
    plant(raising(EdgekitError("a wrong thing", where="r.yaml: a", fix="write b")))
    assert main(["probe"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "edgekit: a wrong thing\n  where: r.yaml: a\n  fix:   write b\n"


def test_debug_adds_the_traceback(plant, capsys, monkeypatch):
    plant(raising(EdgekitError("a wrong thing")))
    for args in (["--debug", "probe"], ["probe", "--debug"]):
        assert main(args) == 2
        assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("EDGEKIT_DEBUG", "1")
    assert main(["probe"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("EDGEKIT_DEBUG", "0")
    main(["probe"])
    assert "Traceback" not in capsys.readouterr().err


def test_exit_codes_of_success_and_of_a_failed_requirement(plant, capsys):
    def misses(ctx, as_json):
        print_json({"ok": False})
        ctx.exit(1)

    plant(misses)
    assert main(["probe", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"ok": False}
    plant(lambda ctx, as_json: 5)  # a return value is no exit code
    assert main(["probe"]) == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_exits_with_130(plant, capsys, error):
    plant(raising(error))
    assert main(["probe"]) == 130
    out, err = capsys.readouterr()
    assert out == "" and "interrupted" in err and "Traceback" not in err


@pytest.mark.parametrize(("package", "extra"), [("torch", "train"), ("pydantic", "train"), ("cv2", "cpu")])
def test_a_missing_extra_says_what_to_install(plant, capsys, monkeypatch, package, extra):
    monkeypatch.setitem(sys.modules, package, None)  # an import of it now raises ModuleNotFoundError

    def body(ctx, as_json):
        __import__(package)

    plant(body)
    assert main(["probe"]) == 2
    err = capsys.readouterr().err
    assert f"needs the {extra} extra" in err and f"pip install 'edgekit[{extra}]'" in err and "Traceback" not in err


@pytest.mark.parametrize("name", ["edgekit.nothing", "torch._C", "some_dependency", None])
def test_another_missing_module_is_not_disguised(plant, capsys, name):
    plant(raising(ModuleNotFoundError(f"No module named {name}", name=name)))
    assert main(["probe"]) == cli_main.INTERNAL_FAULT
    err = capsys.readouterr().err
    assert "Traceback" in err and "extra" not in err


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (EdgekitError("w", where="x", fix="f"), 2, {"what": "w", "where": "x", "fix": "f"}),
        (EdgekitError("w"), 2, {"what": "w", "where": None, "fix": None}),
        (KeyboardInterrupt(), 130, {"what": "interrupted", "where": None, "fix": None}),
    ],
)
def test_with_json_an_error_is_one_document_on_stdout(plant, capsys, error, code, expected):
    plant(raising(error))
    assert main(["probe", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {"error": expected}


def test_with_json_faults_and_usage_errors_are_documents_too(plant, capsys):
    plant(raising(ZeroDivisionError("oops")))
    assert main(["probe", "--json"]) == cli_main.INTERNAL_FAULT
    out, err = capsys.readouterr()
    assert "ZeroDivisionError: oops" in json.loads(out)["error"]["what"] and "Traceback" in err
    assert main(["probe", "--jsn", "--json"]) == 2
    assert "--jsn" in json.loads(capsys.readouterr().out)["error"]["what"]
    assert main(["recipe", "show", "--json"]) == 2
    assert "edgekit recipe show --help" in json.loads(capsys.readouterr().out)["error"]["fix"]


def test_json_refuses_what_json_does_not_have():
    with pytest.raises(ValueError, match="JSON"):
        print_json({"loss": float("nan")})


def test_a_path_that_cannot_be_is_the_users_mistake(capsys):
    assert main(["verify", "n" * 300]) == 2
    said = capsys.readouterr().err
    assert "File name too long" in said and "fix:" in said and "Traceback" not in said


@pytest.mark.parametrize(
    "words", [["bench"], ["verify"], ["run"], ["evaluate"], ["export"], ["quantize", "sensitivity"]]
)
def test_more_threads_than_cores_are_refused_before_anything_runs(words, capsys):
    assert main([*words, "x", "--threads", "1000"]) == 2
    assert "1000 threads, but this process may use" in capsys.readouterr().err
    assert main(["students", "--threads", "1000"]) == 2
