"""The model card of a bundle whose names come from anyone."""

from __future__ import annotations

import dataclasses

import pytest
from markdown_it import MarkdownIt

from edgekit.bundle.bundle import open_bundle
from edgekit.export.card import model_card

NAMES = ["<img src=x onerror=alert(1)>", "![x](http://a.example/p.png)", "a\n\n# heading\n\n- item", "a|b", "`c` **d**"]


def structure(card: str) -> list[tuple[str, str]]:
    """Every block and mark of the document, without the words."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(card):
        inner = [child for child in token.children or () if not child.type.startswith(("text", "softbreak"))]
        found += [(token.type, token.tag), *((child.type, child.tag) for child in inner)]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_names_add_no_heading_no_picture_and_no_html(tiny_bundle, name):
    manifest = open_bundle(tiny_bundle).manifest

    def named(name: str) -> str:
        semantic, *others = manifest.tasks
        iou = {"red": 0.5, name: 0.25, "blue": None}
        return model_card(
            dataclasses.replace(
                manifest,
                name=name,
                board=name,
                tasks=(dataclasses.replace(semantic, classes=("red", name, "blue")), *others),
                metrics={"fp32": {"semantic": {"miou": 0.5, "iou": iou}}},
                parity=({"step": name, "task": name, "metric": name, "value": 1.0, "limit": 1.0, "holds": False},),
                provenance={
                    "recipe_hash": "1a2b",
                    **dict.fromkeys(("recipe", "data", "split", "licence", "attribution"), name),
                },
            )
        )

    assert structure(named(name)) == structure(named("plain"))
    assert "".join(name.split()).replace("`", "'") in "".join(named(name).replace("\\", "").split()).replace("`", "'")
