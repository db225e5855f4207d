"""One job in a process of its own: ``python -m edgekit.pipeline.worker RUN JOB``, see ``edgekit.pipeline.parallel``."""

from __future__ import annotations

import ctypes
import json
import signal
import sys
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.pipeline.parallel import FIRST_TARGETS, STUDENT, TRIAL
from edgekit.pipeline.run import Run
from edgekit.pipeline.training import distil_student, first_targets, train_student, train_teacher
from edgekit.pipeline.trial import trial_of

INTERRUPTED, REFUSED = 130, 2
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Do the job; an EdgekitError is written to stdout as JSON, for the parent to raise."""
    if sys.platform.startswith("linux"):  # where the parent is killed, its workers write a checkpoint and end
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        bench, job = Run.open(Path(arguments[0])).bench(), tuple(arguments[1:])
        if job[0] == TRIAL:
            bench, job = trial_of(bench).bench, job[1:]
        if job[0] == "teacher":
            train_teacher(bench, int(job[1]), int(job[2]))
        elif job == FIRST_TARGETS:
            first_targets(bench)
        elif job == STUDENT:
            distil_student(bench)
        else:
            train_student(bench)
    except EdgekitError as error:
        print(json.dumps({"what": error.what, "where": error.where, "fix": error.fix}))
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
