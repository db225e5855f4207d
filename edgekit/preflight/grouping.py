"""Groups nodes with the same findings, so that sixty nodes fit on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.preflight.lint import NodeReport, Place

_SHOWN = 3
_ORDER: tuple[Place, ...] = ("refused", "falls back", "GPU", "DLA", "folded")


@dataclass(frozen=True)
class Group:
    """Nodes of one operator with the same findings. ``said``: what to change → the reasons for it, each once."""

    place: Place
    op: str
    names: tuple[str, ...]
    said: dict[str, tuple[str, ...]]

    def which(self) -> str:
        """Their names: all of a few, the first of many."""
        return _few(self.names, ", ")

    def why(self) -> str:
        """Reasons and changes, on lines of their own."""
        return "\n".join(f"{_few(whys, '; ')}\n→ {change}" for change, whys in self.said.items())


def _few(texts: Sequence[str], between: str) -> str:
    rest = len(texts) - _SHOWN
    return between.join(texts[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def grouped(nodes: Sequence[NodeReport]) -> list[Group]:
    """Worst first; among equals those with something to say first, then in the graph's order."""
    found: dict[tuple, list[NodeReport]] = {}
    for node in nodes:
        rules = tuple((finding.rule, finding.level, finding.change) for finding in node.findings)
        found.setdefault((node.place, node.op, rules), []).append(node)
    groups = [Group(place, op, tuple(n.name for n in of), _said(of)) for (place, op, _), of in found.items()]
    return sorted(groups, key=lambda group: (_ORDER.index(group.place), not group.said))


def _said(nodes: Sequence[NodeReport]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for node in nodes:
        for finding in node.findings:
            found.setdefault(finding.change, {})[finding.why] = None
    return {change: tuple(whys) for change, whys in found.items()}
