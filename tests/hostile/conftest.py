"""What came from outside and went wrong once: each in a child of its own, bounded in time and memory, and watched."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

from tools.fuzzing import bases, sandbox  # noqa: E402
from tools.fuzzing.kinds import rehash  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def everything_imported() -> None:
    """Once in this process, and not in every child."""
    sandbox.import_everything()


@pytest.fixture
def attempt(tmp_path: Path) -> Callable:
    """``attempt(arguments)`` runs `edgekit …` in a child; ``attempt(make)`` what ``make(box, outside)`` says."""
    numbers = itertools.count()

    def attempt(what, *more, seconds: float = sandbox.SECONDS) -> sandbox.Outcome:
        make = what if callable(what) else lambda box, outside: sandbox.command(what, *more)
        outcome = sandbox.run(tmp_path / f"child-{next(numbers)}", make, seconds, tmp_path.parent)
        assert sandbox.judge(outcome) is None, (sandbox.judge(outcome), outcome.err[-3000:])
        return outcome

    return attempt


@pytest.fixture
def refused(attempt) -> Callable:
    """The same where it must be refused: exit code 2, and one sentence that says where and what to do."""

    def refused(what, *more, says: str = "", code: int = 2) -> str:
        outcome = attempt(what, *more)
        assert outcome.code == code, (outcome.out[-2000:], outcome.err[-2000:])
        said = outcome.err[outcome.err.rindex("edgekit: ") :] if code == 2 else outcome.out + outcome.err
        if code == 2:
            assert "\n  where: " in said and "\n  fix:   " in said, said
            assert len(said.partition("\n")[0]) < 700, said
        assert says in said, said
        return said

    return refused


@pytest.fixture(scope="session")
def made(tmp_path_factory, tiny) -> SimpleNamespace:
    """Whole small inputs: ``bundle``, ``photographs`` with ``tiny.yaml``, ``student``; not to be written into."""
    import torch

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("whole")
    bases.photographs(root)
    bases._students(root)
    bundle = tiny.write_tiny_bundle(root / "bundle")
    return SimpleNamespace(root=root, bundle=bundle, recipe=root / "tiny.yaml", student=root / "student.pt")


@pytest.fixture
def bundle(made, tmp_path) -> Path:
    """A whole bundle's directory that the test may change."""
    return Path(shutil.copytree(made.bundle, tmp_path / "bundle"))


@pytest.fixture
def change(bundle) -> Callable[..., Path]:
    """``change(function)`` gives the manifest as plain values to a function, then rehashes the files."""

    def change(edit: Callable[[dict], object] = lambda m: None) -> Path:
        path = bundle / "manifest.json"
        document = json.loads(path.read_text())
        edit(document)
        path.write_text(json.dumps(document))
        rehash(bundle)
        return bundle

    return change


@pytest.fixture
def data(made, tmp_path) -> Path:
    """A folder with ``tiny.yaml`` and its photographs that the test may change."""
    shutil.copytree(made.root / "photographs", tmp_path / "data" / "photographs")
    shutil.copy(made.root / "tiny.yaml", tmp_path / "data")
    shutil.copy(made.root / "class_dict.csv", tmp_path / "data" / "photographs")
    return tmp_path / "data"
