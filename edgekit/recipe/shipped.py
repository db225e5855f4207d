"""The recipes that come with edgekit, found by name: `uav` is recipes/uav.yaml, in a checkout as in a wheel."""

from __future__ import annotations

from pathlib import Path

from edgekit.errors import EdgekitError, did_you_mean
from edgekit.frames.files import atomic_write
from edgekit.recipe.document import parse

_PACKAGE = Path(__file__).resolve().parents[1]


def folder() -> Path:
    """Their folder: in the installed package, or beside it in a checkout."""
    installed = _PACKAGE / "recipes"
    return installed if installed.is_dir() else _PACKAGE.parent / "recipes"


def shipped_recipes() -> list[str]:
    return sorted(path.stem for path in folder().glob("*.yaml"))


def about(name: str) -> str:
    """The first sentence of the comment that a recipe begins with."""
    lines = (folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.removeprefix("#").strip() for line in lines[: _comment_length(lines)])
    return comment.partition(". ")[0].rstrip(".")


def locate(recipe: Path) -> tuple[Path, Path]:
    """The file of a recipe, given by path or by name, and the folder that its relative paths start from.

    A file's is its own folder. A recipe given by name acts like its copy in the current folder. EdgekitError for a name
    that neither a file nor a recipe has; a path that does not exist comes back as it is.
    """
    name = str(recipe)
    if recipe.is_file():
        return recipe, recipe.parent
    if name in shipped_recipes():
        return folder() / f"{name}.yaml", Path()
    if recipe.exists() or recipe.suffix or len(recipe.parts) > 1:
        return recipe, recipe.parent
    raise _unknown(name)


def copy(name: str, out: Path) -> list[Path]:
    """Copy a recipe, and those that it extends, into the folder ``out``; returns the files written.

    EdgekitError for an unknown name, and where one of the files exists already.
    """
    if name not in shipped_recipes():
        raise _unknown(name)
    sources = _chain(folder() / f"{name}.yaml")
    for source in sources:
        if (out / source.name).exists():
            raise EdgekitError(
                f"there is a {source.name} already", where=str(out), fix="name another folder with --out, or remove it"
            )
    for source in sources:
        with atomic_write(out / source.name) as part:
            part.write_bytes(source.read_bytes())
    return [out / source.name for source in sources]


def _chain(file: Path) -> list[Path]:
    """A recipe and those below it, which lie in the same folder."""
    base = parse(file.read_text(encoding="utf-8"), str(file)).value.get("extends")
    return [file, *(_chain(file.parent / base) if base else [])]


def _comment_length(lines: list[str]) -> int:
    return next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))


def _unknown(name: str) -> EdgekitError:
    fix = did_you_mean(name, shipped_recipes()) or f"give a recipe's file, or one of {', '.join(shipped_recipes())}"
    return EdgekitError(f"there is no recipe '{name}'", where="edgekit's own recipes", fix=fix)
