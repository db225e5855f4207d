"""The names of a task's classes, as a recipe gives them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Annotated, TypeVar

from pydantic import AfterValidator

MOST_CLASSES = 254
"""That fit the 8 bits of a label: 255 is ignore, and 254 marks values that a class table does not know."""

Names = TypeVar("Names", bound=Collection[str])


def _few(names: Names) -> Names:
    if len(names) > MOST_CLASSES:
        raise ValueError(
            f"{len(names)} classes are more than the 8 bits of a label have room for: there may be {MOST_CLASSES}, "
            "with 255 for ignore. Merge some under data.classes, or leave rare ones out"
        )
    return names


def _distinct(names: list[str]) -> list[str]:
    for name, count in Counter(names).items():
        if count > 1:
            values = " and ".join(str(i) for i, other in enumerate(names) if other == name)
            raise ValueError(f"the class '{name}' stands for the values {values}: give each value a name of its own")
    return names


FewClasses = AfterValidator(_few)
"""For a list or mapping of classes: ValueError where there are more than fit a label."""

ClassNames = Annotated[list[str], FewClasses, AfterValidator(_distinct)]
"""Names in the order of the values 0, 1, …; ValueError for a repeated name, or too many."""
