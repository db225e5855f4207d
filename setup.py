"""What pyproject.toml cannot say: the folder recipes/ is a part of the package in the wheel, `edgekit/recipes`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["edgekit", "edgekit.*"]), "edgekit.recipes"],
    package_dir={"edgekit.recipes": "recipes"},
    package_data={
        "edgekit": ["py.typed"],
        "edgekit.boards": ["boards.yaml"],
        "edgekit.bundle": ["shipped/*/*"],
        "edgekit.recipes": ["*.yaml"],
        "edgekit.report": ["templates/*"],
    },
)
