"""The study of a search: Optuna draws, stores and prunes; its storage lets any number of processes work on one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from edgekit.errors import EdgekitError, first_line

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

    from edgekit.search.latency import Cost
    from edgekit.search.space import Space
    from edgekit.training.progress import Progress

FACTOR = 3
"""One candidate of so many goes on at each rung, with as many times the steps."""
BEAT = 20
"""Seconds between the signs of life of a process; after four without one its candidate is trained elsewhere."""
IDLE = 50
"""Draws in a row that bring nothing to train, after which a search ends."""
UNTIMED = 3
"""Candidates in a row whose time cannot be told, at which a search ends with the last one's error."""
_ABOUT = "about"


class Candidate(Protocol):
    """A recipe's student in one shape."""

    def cost(self) -> Cost: ...

    def score(self, steps: int) -> float | None:
        """Of the student after a training of its own of so many steps, on frames held back; None: undefined."""

    def final_score(self, steps: int) -> float:
        """Of its file. EdgekitError where none can be made that is accurate enough."""


def rungs_of(steps: int) -> list[int]:
    """The steps of each rung; the last has all of them."""
    return sorted({max(1, steps // FACTOR**2), max(1, steps // FACTOR), steps})


def open_study(
    name: str, url: str, about: Mapping[str, Any], rungs: Sequence[int], *, maximise: bool, beat: int = BEAT
) -> Study:
    """The study of this name in a storage, made where it is missing.

    EdgekitError for a storage that cannot be opened, and where the study is about something else.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # edgekit reports its errors itself
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite:") else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                url,
                engine_kwargs=options,
                heartbeat_interval=beat,
                grace_period=4 * beat,
                heartbeat_stale_trial_callback=lambda study, trial: study.enqueue_trial(trial.params),
            )
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize" if maximise else "minimize",
            sampler=optuna.samplers.TPESampler(),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=rungs[0], reduction_factor=FACTOR),
            load_if_exists=True,
        )
        if _ABOUT not in study.user_attrs:
            study.set_user_attr(_ABOUT, dict(about))
        known = study.user_attrs[_ABOUT]
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, ValueError) as error:
        fix = "give a URL as SQLAlchemy takes it, of a database that can be reached and written"
        raise EdgekitError(
            f"the study's storage cannot be opened: {first_line(error)}", where="--storage", fix=fix
        ) from None
    for what, value in about.items():
        if known.get(what) != value:
            raise EdgekitError(
                f"the study '{name}' is of another {what}: {known.get(what)}, and not {value}",
                where="--study",
                fix="give this search a folder of its own, or go on with the command that the study was begun with",
            )
    return study


def trained(study: Study) -> list[FrozenTrial]:
    """The candidates that were trained to their end or until they fell behind."""
    return [t for t in _of_states(study, "COMPLETE", "PRUNED") if t.intermediate_values]


@dataclass
class Search:
    """``build`` makes a candidate of a trial's number and its values; EdgekitError for one that cannot be."""

    study: Study
    space: Space
    budget_ms: float
    rungs: Sequence[int]
    build: Callable[[int, Mapping[str, str]], Candidate]
    idle: int = field(default=0, init=False)
    untimed: int = field(default=0, init=False)

    def run(self, count: int, progress: Progress) -> None:
        """Until ``count`` candidates are trained, by this process and others, or draws bring nothing new.

        On Ctrl-C the candidate is put back; its training goes on from its checkpoint.
        """
        done = len(trained(self.study))
        progress.begin(count, min(done, count))
        while done < count and self.idle < IDLE:
            self.study.optimize(self._objective, n_trials=1)
            done = len(trained(self.study))
            progress.step(min(done, count))
        if done < count:
            progress.note(f"{self.idle} draws in a row brought nothing new within the budget: the search ends here")

    def _objective(self, trial: Trial) -> float:
        try:
            return self._train(trial, self._feasible(trial))
        except KeyboardInterrupt:
            self.study.enqueue_trial(trial.params)
            raise

    def _feasible(self, trial: Trial) -> Candidate:
        """The candidate, where it is new, can be built, and meets the budget."""
        self.idle += 1
        values = {key: part.suggest(trial, key) for key, part in self.space.items()}
        trial.set_user_attr("values", values)
        for other in _of_states(self.study, "COMPLETE", "PRUNED", "RUNNING"):
            if other.number < trial.number and other.params == trial.params and "twin" not in other.user_attrs:
                trial.set_user_attr("twin", other.number)
                self._leave(trial, f"the same as {other.number}")
        try:
            candidate = self.build(trial.number, values)
        except EdgekitError as error:
            trial.set_constraint("fit", 1.0)
            self._leave(trial, error.what)
        try:
            cost, self.untimed = candidate.cost(), 0
        except EdgekitError as error:  # of this candidate, or of the device, which then fails with each
            self.untimed += 1
            if self.untimed == UNTIMED:
                raise
            trial.set_constraint("fit", 1.0)
            self._leave(trial, error.what)
        trial.set_user_attr("cost", asdict(cost))
        trial.set_constraint("budget", cost.ms / self.budget_ms - 1)
        if cost.ms > self.budget_ms:
            self._leave(trial, "over the budget")
        return candidate

    def _train(self, trial: Trial, candidate: Candidate) -> float:
        self.idle = 0
        for steps in self.rungs:
            score = candidate.score(steps)
            if score is None:
                self._leave(trial, f"no score after {steps} steps")
            trial.report(score, steps)
            if steps != self.rungs[-1] and trial.should_prune():
                self._leave(trial, f"behind others after {steps} steps")
        try:
            return candidate.final_score(self.rungs[-1])
        except EdgekitError as error:
            self._leave(trial, error.what)

    def _leave(self, trial: Trial, why: str) -> NoReturn:
        from optuna import TrialPruned

        trial.set_user_attr("why", why)
        raise TrialPruned(why)


def _of_states(study: Study, *states: str) -> list[FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=tuple(TrialState[name] for name in states))
