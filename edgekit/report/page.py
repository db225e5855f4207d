"""One HTML page: no script, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from edgekit.report.plots import COLOURS


def page(template: str, **values: Any) -> str:
    """``templates/<template>``, which extends ``page.html``, filled in. What is not ``Markup`` is escaped."""
    loader = PackageLoader("edgekit.report", "templates")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return templates.get_template(template).render(colours=COLOURS, **values)
