"""Starting the student from a teacher: with all modalities but the student's masked, the teacher is such a network."""

from __future__ import annotations

import torch

from edgekit.errors import EdgekitError
from edgekit.students.student import Student
from edgekit.teachers.multimodal import MultiModal


@torch.no_grad()
def warm_start(student: Student, teacher: MultiModal) -> None:
    """Give the student the teacher's weights for its modalities in and the tasks out, in place.

    Other weights are copied; of the first layer only the kernels that read what the student sees are taken, of the last
    only those of the tasks. The student then predicts what the teacher predicts with everything else hidden, since
    hidden modalities are zero and both standardise alike. EdgekitError where the two are not of one family and shape.
    """
    channels = teacher.channels()
    own = [channels.get(task.name) for task in student.modalities]
    seen = None if any(one is None for one in own) else torch.cat(own)
    predicted = torch.cat([channels[task.name] for task in student.tasks])
    total = sum(
        len(own) for own in channels.values()
    )  # of the teacher's output, whose slots its input has, or begins with
    own = student.network.state_dict()
    given = teacher.network.state_dict()
    if own.keys() != given.keys() or seen is None:
        raise _misfit(student)
    for name, value in own.items():
        taken = given[name].cpu()
        if taken.shape != value.shape and taken.ndim == 4 and taken.shape[0] == value.shape[0]:
            taken = taken[:, seen] if value.shape[1] == len(seen) else taken
        elif taken.shape != value.shape and taken.shape[0] == total:
            taken = taken[predicted]
        if taken.shape != value.shape:
            raise _misfit(student)
        value.copy_(taken)
    for own, given in ((student.mean, teacher.mean), (student.std, teacher.deviation)):
        if not torch.allclose(own.cpu(), given.cpu()[seen]):
            raise ValueError("student and teacher standardise differently")


def _misfit(student: Student) -> EdgekitError:
    seen = " and ".join(task.name for task in student.modalities)
    return EdgekitError(
        f"the student ({student.name}, width {student.width}) cannot start from the first teacher: "
        f"they are not of one family and width, or the teacher does not see {seen}",
        where="distill.start",
        fix="give teacher.members.0 the student's family and width, or set distill.start: labels",
    )
