"""Every recipe that docs/teachers.md and docs/students.md show is one, and its networks can be built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from edgekit.networks import FAMILIES, parameter_count
from edgekit.recipe.load import load_recipe
from edgekit.recipe.schema import Recipe
from edgekit.students.registry import STUDENTS
from edgekit.tasks import Task
from edgekit.teachers.config import TeacherConfig
from edgekit.teachers.multimodal import MultiModal

DOCS = Path(__file__).parents[2] / "docs"
BASE = """\
name: documented
data: {source: image_folder, root: photographs, class_names: [sky, roof, grass]}
tasks: {semantic: {}}
"""
EXAMPLES = re.findall(r"```yaml\n(.*?)```", (DOCS / "teachers.md").read_text(), re.DOTALL)
RGB = Task("rgb", "modality", channels=3, range=(0.0, 255.0))
SEMANTIC = Task("semantic", "semantic", classes=("sky", "roof", "grass"))


def test_there_are_examples():
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_is_a_recipe_whose_networks_can_be_built(example, tmp_path):
    (tmp_path / "recipe.yaml").write_text(BASE + example)
    recipe = load_recipe(Recipe, tmp_path / "recipe.yaml", [])
    told = YAML(typ="safe").load(example)["teacher"]
    assert len(recipe.teacher.members) == len(told.get("members", TeacherConfig().members))
    assert len(recipe.teacher.external) == len(told.get("external", []))
    if any(member.family == "timm" for member in recipe.teacher.members):
        pytest.importorskip("safetensors", reason="timm is not installed (edgekit[timm])")
    for member in recipe.teacher.members:
        network = MultiModal(member, [RGB], [SEMANTIC], {"rgb": ([120.0] * 3, [60.0] * 3)})
        assert network.channels().keys() == {"rgb", "semantic"}


def test_the_students_of_the_page(tmp_path):
    page = (DOCS / "students.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "recipe.yaml").write_text(BASE + example)
    student = load_recipe(Recipe, tmp_path / "recipe.yaml", []).student
    assert student == load_recipe(Recipe, tmp_path / "recipe.yaml", ["student={}"]).student.model_copy(
        update={"weights": "imagenet", "width": 48}
    )
    for name, spec in STUDENTS.items():
        assert f"`{name}`" in page
        network = FAMILIES[spec.family](3, 10, **spec.shape)
        rows = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
        assert all(f"| {round(parameter_count(network) / 1000)}k |" in row for row in rows)


def test_every_field_of_a_member_is_in_the_table():
    from edgekit.teachers.config import MemberConfig

    text = (DOCS / "teachers.md").read_text()
    for field in MemberConfig.model_fields.keys() - {"family", "seed"}:
        assert f"`{field}`" in text, field
