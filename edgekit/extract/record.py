"""What a result says of itself beside its maps: the pipeline's keys, and the frames of each film."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edgekit.errors import EdgekitError
from edgekit.extract.config import ExtractConfig
from edgekit.extract.files import HIDDEN, LAYOUTS, Tree
from edgekit.extract.films import Film, Shot
from edgekit.frames.files import write_text
from edgekit.frames.names import component
from edgekit.frames.outside import read_json

PLAN, _FILMS, _RATES = "plan.json", "films", "rates"
_RATES_TYPE = TypeAdapter(dict[str, tuple[int, float]])


@dataclass
class FilmRecord:
    """The frames of a film, once it was read to its end."""

    folder: str
    film: str
    sampling: list
    sequence: bool
    names: list[str] = field(default_factory=list)
    identities: list[str] = field(default_factory=list)

    @classmethod
    def new(cls, film: Film, config: ExtractConfig) -> FilmRecord:
        sampling = [config.every, config.fps, config.frames]
        return cls(film.folder, film.name, sampling, film.is_sequence(config))

    def add(self, shot: Shot) -> None:
        self.names.append(shot.name)
        self.identities.append(shot.identity)

    def shots(self) -> list[Shot]:
        """Frame entries without pixel data; reading one raises an error."""
        shots = [Shot(n, i, same, _unread) for i, (n, same) in enumerate(zip(self.names, self.identities, strict=True))]
        for shot, following in zip(shots, shots[1:] if self.sequence else [], strict=False):
            shot.next = following
        return shots

    def is_of(self, film: Film, config: ExtractConfig) -> bool:
        """Whether film and frame selection are unchanged. False for photographs."""
        new = FilmRecord.new(film, config)
        same = (self.sampling, self.sequence) == (new.sampling, new.sequence)
        return same and not film.photographs and set(self.identities) == {film.identity()}

    def write(self, out: Path) -> None:
        write_if_new(_record_file(out, self.folder, self.film), asdict(self))


@dataclass
class PlanRecord:
    """The keys of tasks, what each needs, which the last frame lacks, which are disagreements of experts."""

    keys: dict[str, str]
    needs: dict[str, list[str]]
    ahead: list[str]
    disagreements: list[str]
    films: list[tuple[str, str]]
    layout: str = LAYOUTS[0]
    of_films: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Task -> film -> what its maps depend on beside the task's key, where predictions lie on disk."""

    def following(self, task: str) -> bool:
        """Whether a task's maps, or those that it needs, were made of the next frame too."""
        return task in self.ahead or any(map(self.following, self.needs.get(task, ())))

    def tree(self, out: Path) -> Tree:
        return Tree(out, self.layout)

    def write(self, out: Path) -> None:
        write_if_new(out / HIDDEN / PLAN, asdict(self))


def read_plan(out: Path) -> PlanRecord:
    """EdgekitError where the folder is no result of `edgekit data extract`."""
    try:
        plan = TypeAdapter(PlanRecord).validate_python(read_json(out / HIDDEN / PLAN, what="the plan"))
        for name in [*plan.keys, *(name for film in plan.films for name in film)]:
            component(name, where=str(out / HIDDEN / PLAN))
        return plan
    except (FileNotFoundError, ValidationError) as error:
        raise EdgekitError(
            "the folder is no result of `edgekit data extract`", where=str(out), fix="give the folder of its --out"
        ) from error


def read_record(out: Path, folder: str, film: str) -> FilmRecord | None:
    """None where the film was not read to its end yet, or the record is damaged: it is made again."""
    try:
        written = read_json(_record_file(out, folder, film), what="the record of the film")
        record = TypeAdapter(FilmRecord).validate_python(written)
        return record if len(record.names) == len(record.identities) else None
    except (FileNotFoundError, EdgekitError, ValidationError):
        return None


def write_rates(out: Path, shard: int, rates: Mapping[str, tuple[int, float]]) -> None:
    write_if_new(out / HIDDEN / _RATES / f"{shard}.json", dict(rates))


def read_rates(out: Path) -> Iterator[Mapping[str, tuple[int, float]]]:
    """Of each shard's last run: task -> (maps made, seconds of computing them)."""
    for path in sorted((out / HIDDEN / _RATES).glob("*.json")):
        try:
            yield _RATES_TYPE.validate_python(read_json(path, what="the rates"))
        except (FileNotFoundError, EdgekitError, ValidationError):
            continue


def write_if_new(path: Path, document: object) -> None:
    """A JSON file, unless it says the same already: shards write the same ones."""
    text = json.dumps(document, indent=1)
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        pass
    write_text(path, text)


def _record_file(out: Path, folder: str, film: str) -> Path:
    return out / HIDDEN / _FILMS / folder / f"{film}.json"


def _unread():
    raise EdgekitError("the frame was not read", where="the film", fix="extract it again")
