"""The page of `edgekit search`: the front, every candidate that was trained to its end, and why others were left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit.report.page import page
from edgekit.report.plots import Point, scatter, svg


def search_page(found: Mapping[str, Any]) -> str:
    """HTML. ``found``: the result of ``edgekit.search.command.search_recipe``."""
    points, plot = found["points"], None
    labels = {p["number"]: shape_label(p["values"], points) for p in points}
    if points:
        series = list(dict.fromkeys(p["values"]["precision"] for p in points))
        fastest = sorted((p for p in points if p["fastest"]), key=lambda p: p["ms"])
        dots = [
            Point(p["ms"], p["score"], str(p["number"]) if p["fastest"] else "", p["values"]["precision"], "candidate")
            for p in points
        ]
        line, names = [(p["ms"], p["score"]) for p in fastest], ("ms a frame", found["metric"])
        plot = svg(scatter(dots, line, names, series), f"{found['metric']} over latency")
    best = next((p for p in points if p["number"] == found["best"]), None)
    own = next((p for p in points if p["own"]), None)
    return page(
        "search.html", title=f"Search: {found['recipe']}", found=found, labels=labels, plot=plot, best=best, own=own
    )


def shape_label(values: Mapping[str, str], among: list[Mapping[str, Any]]) -> str:
    """A candidate by what differs among the candidates."""
    varying = [key for key in values if len({p["values"].get(key) for p in among}) > 1] or list(values)
    return ", ".join(f"{key.rpartition('.')[2]} {values[key]}" for key in varying)
