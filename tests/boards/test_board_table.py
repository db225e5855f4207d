"""The data file: its figures against arithmetic from cores and clocks, its names against each other."""

from __future__ import annotations

from dataclasses import fields

import pytest

from edgekit.boards.table import Board, JetPack, numbers, table

BOARDS = list(table().boards.values())

# Dense INT8 operations per clock of one multiprocessor's tensor cores, and CUDA cores per multiprocessor.
# Volta (7.2): 8 tensor cores × 128 multiply-adds; Ampere (8.7): 4 × 512; Blackwell (11.0): four times Ampere.
PER_MULTIPROCESSOR = {"7.2": (2048, 64), "8.7": (4096, 128), "11.0": (16384, 128)}


@pytest.mark.parametrize("row", BOARDS, ids=lambda row: row.name)
def test_rates_follow_from_cores_and_clocks(row):
    operations, cores = PER_MULTIPROCESSOR[row.sm]
    int8 = row.cuda_cores / cores * operations * row.gpu_mhz / 1e6
    assert row.int8_tops == pytest.approx(int8, rel=0.1)
    assert row.fp16_tflops == pytest.approx(row.int8_tops / 2, rel=0.05)


def test_the_facts_that_were_published():
    agx = table().boards["agx-orin-64gb"]
    assert agx.int8_tops == pytest.approx(170 / 2) and agx.dla_int8_tops == pytest.approx(105 / 2)
    for name, sparse in (("orin-nano-8gb", 40), ("orin-nano-8gb-super", 67), ("orin-nano-4gb", 20)):
        assert table().boards[name].int8_tops == sparse / 2


@pytest.mark.parametrize("row", [b for b in BOARDS if b.sm == "8.7"], ids=lambda row: row.name)
def test_orins_headline_is_twice_the_dense_rates_of_gpu_and_dla(row):
    headline = float(row.advertised.partition(" ")[0])
    assert 2 * (row.int8_tops + row.dla_int8_tops) == pytest.approx(headline, rel=0.03)


@pytest.mark.parametrize("row", BOARDS, ids=lambda row: row.name)
def test_a_row_is_whole(row):
    assert set(row.unverified) < {f.name for f in fields(Board)}
    assert row.jetpacks and set(row.jetpacks) <= set(table().jetpacks)
    assert list(row.jetpacks) == sorted(row.jetpacks, key=numbers)
    assert (row.dla_cores > 0) == (row.dla_int8_tops > 0)
    assert all(model == model.lower() for model in row.models)
    assert row.power_modes and row.modules


def test_super_rows_are_the_same_module_with_higher_clocks():
    supers = [row for row in BOARDS if row.is_super]
    assert len(supers) == 4
    for row in supers:
        plain = table().boards[row.name.removesuffix("-super")]
        same = ("sm", "memory_gb", "cuda_cores", "dla_cores", "models", "modules")
        assert all(getattr(row, field) == getattr(plain, field) for field in same)
        assert row.gpu_mhz > plain.gpu_mhz and set(row.jetpacks) < set(plain.jetpacks)


def test_jetpacks():
    rows = list(table().jetpacks.values())
    assert [row.version for row in rows] == sorted(table().jetpacks, key=numbers)
    assert all(numbers(row.l4t[0]) <= numbers(row.l4t[1]) for row in rows)
    assert all(set(row.unverified) < {f.name for f in fields(JetPack)} for row in rows)
    assert [row.version for row in rows if row.dla] == ["5.1", "6.0", "6.1", "6.2"]
    assert all(numbers(row.tensorrt) >= (8, 5) for row in rows)
