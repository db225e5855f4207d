"""Boards and JetPacks by the names people write, and which goes with which."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.boards.lookup import check_pair, find_board, find_jetpack, jetpack_of_l4t, newest_jetpack
from edgekit.boards.table import numbers, table
from edgekit.errors import EdgekitError


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("orin-nx-16gb", "orin-nx-16gb"),
        ("Jetson Orin NX 16GB", "orin-nx-16gb"),
        ("jetson_orin_nx_16_gb", "orin-nx-16gb"),
        ("NVIDIA Jetson AGX Orin 64 GB", "agx-orin-64gb"),
        ("agx-xavier", "agx-xavier-32gb"),
        ("thor", "agx-thor"),
        ("orin-64gb", "agx-orin-64gb"),
        ("orin-nano-8gb-super", "orin-nano-8gb-super"),
    ],
)
def test_a_board_by_name(written, name):
    assert find_board(written).name == name


@pytest.mark.parametrize("written", ["orin-nx", "orin", "Orin Nano", "xavier-nx", "8gb"])
def test_a_name_of_several_boards_lists_them(written):
    with pytest.raises(EdgekitError, match="fits several boards") as caught:
        find_board(written)
    assert "-8gb" in caught.value.fix and "agx-thor" not in caught.value.fix


def test_an_unknown_board_names_the_nearest_and_all():
    with pytest.raises(EdgekitError, match="unknown board 'orin-nx-16bg'") as caught:
        find_board("orin-nx-16bg")
    assert caught.value.fix.startswith("did you mean orin-nx-16gb? ")
    assert all(name in caught.value.fix for name in table().boards)
    assert caught.value.where == "--board"


@pytest.mark.parametrize("written", ["nano", "Jetson Nano", "jetson-nano-4gb", "tx2", "TX2-4GB"])
def test_boards_that_end_at_jetpack_4_say_why_not(written):
    with pytest.raises(EdgekitError, match=r"is not supported: it ends at JetPack 4\.6 \(TensorRT 8\.2"):
        find_board(written)


@given(st.text(max_size=30))
@settings(deadline=None, max_examples=200)
def test_any_text_is_a_board_or_an_error(text):
    try:
        assert find_board(text).name in table().boards
    except EdgekitError as error:
        assert error.fix


@pytest.mark.parametrize(
    ("written", "row", "tensorrt", "python", "opset"),
    [
        ("5.1", "5.1", "8.5.2", "3.8", 17),
        ("5.1.3", "5.1", "8.5.2", "3.8", 17),
        ("6.0", "6.0", "8.6.2", "3.10", 17),
        ("6.1", "6.1", "10.3.0", "3.10", 20),
        ("6.2.1", "6.2", "10.3.0", "3.10", 20),
        ("7.1", "7.1", "10.13.3", "3.12", 20),
        ("7.2.1", "7.2", "10.16.0", "3.12", 24),
        ("7.2.3", "7.2.2", "10.16.0", "3.12", 24),
    ],
)
def test_a_jetpack_by_version(written, row, tensorrt, python, opset):
    found = find_jetpack(written)
    assert (found.version, found.tensorrt, found.python, found.opset) == (row, tensorrt, python, opset)


@pytest.mark.parametrize("written", ["", "6", "6.9", "8.0", "six", "6.2-rc", "6.", "99999.9", "٦.٢"])
def test_an_unknown_jetpack_lists_the_known(written):
    with pytest.raises(EdgekitError, match="unknown JetPack") as caught:
        find_jetpack(written)
    assert "5.1, 6.0, 6.1, 6.2, 7.0, 7.1, 7.2, 7.2.2" in caught.value.fix


@pytest.mark.parametrize("written", ["1.0", "4.4.1", "4.6", "4.6.6", "5.0", "5.0.2"])
def test_old_jetpacks_say_why_not(written):
    with pytest.raises(EdgekitError, match=rf"JetPack {written} is not supported: .* edgekit needs TensorRT 8\.5"):
        find_jetpack(written)


def test_which_jetpack_runs_where():
    pairs = {
        (b.name, j.version) for b in table().boards.values() for j in table().jetpacks.values() if not _refused(b, j)
    }
    assert ("orin-nx-16gb", "6.2") in pairs and ("orin-nano-8gb", "5.1") in pairs and ("agx-thor", "7.0") in pairs
    assert ("orin-nx-16gb", "7.0") not in pairs and ("orin-nx-16gb", "7.2") in pairs
    assert {j for b, j in pairs if "xavier" in b} == {"5.1"}
    assert {j for b, j in pairs if "thor" in b} == {"7.0", "7.1", "7.2", "7.2.2"}
    assert not {j for b, j in pairs if "super" in b} & {"5.1", "6.0", "6.1"}


def _refused(b, j) -> bool:
    try:
        check_pair(b, j)
    except EdgekitError:
        return True
    return False


def test_xavier_ends_at_jetpack_5():
    with pytest.raises(EdgekitError, match=r"Xavier NX 16 GB, which ends at JetPack 5\.1") as caught:
        check_pair(find_board("xavier-nx-16gb"), find_jetpack("6.2"))
    assert caught.value.where == "--jetpack" and "use JetPack 5.1" in caught.value.fix
    assert newest_jetpack(find_board("agx-xavier")).version == "5.1"
    assert newest_jetpack(find_board("agx-thor")).version == "7.2.2"


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("32.7.4", "4.6"), ("35.1", "5.0"), ("35.1.0", "5.0"), ("35.2.1", "5.1"), ("35.6.1", "5.1"), ("36.3.0", "6.0"),
        ("36.4.0", "6.1"), ("36.4", "6.1"), ("36.4.3", "6.2"), ("36.4.4", "6.2"), ("36.5.0", "6.2"), ("38.2.0", "7.0"),
        ("38.4.0", "7.1"), ("39.1", "7.2"),
    ],
)  # fmt: skip
def test_jetpack_of_an_l4t_release(release, version):
    assert jetpack_of_l4t(release).version == version


@pytest.mark.parametrize("release", ["", "36", "37.1", "44.0.0", "R36", "36.2"])
def test_an_l4t_release_that_is_not_known(release):
    assert jetpack_of_l4t(release) is None


@pytest.mark.parametrize(
    ("tensorrt", "opset"),
    [
        ("8.5.2", 17),
        ("8.6.1", 17),
        ("10.0.1", 20),
        ("10.3.0.30", 20),
        ("10.14", 20),
        ("10.15.1", 24),
        ("11.4.0.106", 24),
        ("11.5.0", 25),
    ],
)
def test_newest_opset(tensorrt, opset):
    assert table().opset(tensorrt) == opset


@given(st.text(max_size=20))
@settings(deadline=None, max_examples=100)
def test_numbers_of_any_text(text):
    assert all(isinstance(n, int) and n >= 0 for n in numbers(text))
