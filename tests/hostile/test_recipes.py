"""Suites and recipes that grow, nest, tag and repeat themselves."""

from __future__ import annotations

import itertools

import pytest


def chain(first: str, each: str, letters: str) -> str:
    """A line ``first`` with the anchor a, then one for each further letter, in which * stands for the one before."""
    lines = [first]
    for before, letter in itertools.pairwise(letters):
        lines.append(f"{letter}: &{letter} " + each.replace("*", f"*{before}"))
    return "\n".join(lines) + "\n"


NINE = ",".join("*" * 9)

TEXTS = {
    "alias bomb": chain("a: &a [x,x,x,x,x,x,x,x,x]", f"[{NINE}]", "abcdefghi"),
    "bomb of mappings": chain("a: &a {x: 1}", "{l: *, r: *}", "abcdefghijklmnopqrstuvwx"),
    "merge bomb": chain("a: &a {x: 1}", f"{{<<: [{NINE}]}}", "abcdefghi"),
    "python tag": "name: !!python/object/apply:os.system ['true']",
    "explicit tag": "name: !!binary YQ==",
    "timestamp": "name: !!timestamp 2020-13-45",
    "date": "seed: 2020-13-45",
    "date in reach": "name: 2020-02-30",
    "nested lists": "name: " + "[" * 50_000,
    "nested closed": "name: " + "[" * 3_000 + "]" * 3_000,
    "nested mappings": "name: " + "{a: " * 3_000 + "}" * 3_000,
    "own anchor": "name: &x [*x]",
    "unknown keys": "".join(f"key_number_{i}: {i}\n" for i in range(12_000)),
    "unknown keys below": "data:\n" + "".join(f"  key_{i}: {i}\n" for i in range(13_000)),
    "long list": "tasks: [" + "0," * 100_000 + "]",
    "long list below": "teacher: {members: [" + "{family: x}," * 13_000 + "]}",
    "long text": "name: " + "x" * 200_000,
    "long key": "x" * 100_000 + ": 1",
    "digits": "seed: " + "9" * 5_000,
    "infinite": "seed: .inf",
    "nul": 'name: "a\\0b"',
    "surrogate": 'name: "\\ud800"',
    "control": 'name: "\\e]0;x\\a"',
    "path": "name: ../../outside/x",
    "absolute": "name: /tmp/x",
    "comma": "name: [",
}


@pytest.mark.parametrize("name", TEXTS)
def test_suites_are_refused_soon(refused, tmp_path, name):
    (tmp_path / "suite.yaml").write_text(TEXTS[name])
    refused("bench", "suite", tmp_path / "suite.yaml")


@pytest.mark.parametrize("name", ["merge bomb", "unknown keys below", "long list below", "nested mappings"])
def test_recipes_are_refused_soon(refused, tmp_path, name):
    (tmp_path / "recipe.yaml").write_text(TEXTS[name])
    refused("recipe", "show", tmp_path / "recipe.yaml")


SUITES = {
    "cells": f"students: {[f's{i}' for i in range(200)]}\nsizes: {[f'{i}x{i}' for i in range(100, 300)]}\n"
    f"precisions: [fp32, int8]\nthreads: {list(range(1, 51))}",
    "long list": f"students: {[f's{i}' for i in range(20_000)]}\nsizes: [64x96]\nprecisions: [fp32]",
    "runs": "students: [a]\nsizes: [64x96]\nprecisions: [fp32]\nruns: 1e999",
    "infinite": "students: [a]\nsizes: [64x96]\nprecisions: [fp32]\nduration: .inf",
    "name": "students: [../../outside/x]\nsizes: [64x96]\nprecisions: [[]]",
}


@pytest.mark.parametrize("name", SUITES)
def test_suites(refused, tmp_path, name):
    (tmp_path / "suite.yaml").write_text(f"name: x\nbundle: b/{{student}}\n{SUITES[name]}\n")
    refused("bench", "suite", tmp_path / "suite.yaml")
