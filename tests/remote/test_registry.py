"""The file of boards, and the commands that change it."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.remote import registry


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "edgekit" / "boards.json"


def test_a_board_is_added_listed_and_removed(config, capsys):
    assert main(["board", "list"]) == 0
    assert "no boards" in capsys.readouterr().out
    assert main(["board", "add", "orin", "user@10.0.0.2", "--json"]) == 0
    orin = {"name": "orin", "host": "user@10.0.0.2", "folder": "edgekit"}
    assert json.loads(capsys.readouterr().out) == orin
    assert main(["board", "add", "nano", "nano", "--folder", "/mnt/nvme/edgekit"]) == 0
    assert capsys.readouterr().out == "next: edgekit board install nano\n"
    assert main(["board", "list", "--json"]) == 0
    nano = {"name": "nano", "host": "nano", "folder": "/mnt/nvme/edgekit"}
    assert json.loads(capsys.readouterr().out) == {"file": str(config), "boards": [orin, nano]}
    assert main(["board", "list"]) == 0
    assert "user@10.0.0.2" in capsys.readouterr().out
    assert main(["board", "remove", "orin"]) == 0
    assert "ssh user@10.0.0.2 rm -r edgekit" in capsys.readouterr().out
    assert json.loads(config.read_text()) == [nano]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "orin", "other@host"], "there is a board 'orin' already: user@host"),
        (["add", "or in", "user@host"], "'or in' is no name for a board"),
        (["add", "../x", "user@host"], "'../x' is no name for a board"),
        (["add", "x", "user@ho st"], "'user@ho st' is no address"),
        (["add", "x", ""], "'' is no address"),
        (["remove", "nano"], "there is no board called 'nano'"),
        (["install", "nano"], "there is no board called 'nano'"),
    ],
)
def test_what_is_refused(config, capsys, words, said):
    assert main(["board", "add", "orin", "user@host"]) == 0
    before = config.read_text()
    capsys.readouterr()
    assert main(["board", *words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["what"] == said
    assert config.read_text() == before


def test_an_address_is_no_option_of_ssh():
    for host in ("-oProxyCommand=touch x", "--", "-", "user@", "@host", "", "us er@host"):
        with pytest.raises(EdgekitError, match="is no address"):
            registry.add(registry.RemoteBoard("orin", host, "edgekit"))


@pytest.mark.parametrize("folder", ["", ".", "./", "/", "//", "~", "~/", "..", "x/..", " edgekit"])
def test_a_folder_that_is_not_edgekits_own_is_refused(folder, config):
    """What edgekit does not know in its folder it removes."""
    with pytest.raises(EdgekitError, match="no folder that edgekit may have for itself"):
        registry.add(registry.RemoteBoard("orin", "user@host", folder))


@pytest.mark.parametrize("host", ["user@10.0.0.2", "orin", "me@work.example@orin", "u@host.local", "x", "user@fe80::1"])
def test_what_ssh_takes_is_an_address(host, config):
    registry.add(registry.RemoteBoard("orin", host, "edgekit"))
    assert registry.find("orin").host == host


def test_adding_a_board_again_as_it_is_changes_nothing(config):
    for _ in range(2):
        registry.add(registry.RemoteBoard("orin", "user@host", "edgekit"))
    assert list(registry.boards()) == ["orin"]


@pytest.mark.parametrize("content", ["", "5", "{", '{"orin": 5}', "[5]", '[{"name": "x"}]', '[{"host": "x"}]'])
def test_a_damaged_file_is_an_error_and_is_kept(config, content):
    config.parent.mkdir()
    config.write_text(content)
    with pytest.raises(EdgekitError, match="the file of boards"):
        registry.add(registry.RemoteBoard("orin", "user@host", "edgekit"))
    assert config.read_text() == content


def test_entries_of_the_file_are_checked_as_those_that_are_added(config):
    config.parent.mkdir()
    good = {"name": "a", "host": "u@h", "folder": "edgekit"}
    for wrong in (
        *({"folder": 5}, {"host": 5}, {"name": 5}),
        *({"name": "../../x"}, {"host": "-oProxyCommand=x"}, {"folder": "/"}),
    ):
        config.write_text(json.dumps([good | wrong]))
        with pytest.raises(EdgekitError):
            registry.boards()


@settings(max_examples=20)
@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), st.text(min_size=1))
def test_what_is_added_is_found(name, folder):
    board = registry.RemoteBoard(name, "user@host", f"its/{folder}-own")
    registry.add(board)
    try:
        assert registry.find(name) == board
    finally:
        registry.remove(name)


def test_boards_that_are_added_at_once_are_all_there():
    threads = [
        threading.Thread(target=registry.add, args=[registry.RemoteBoard(f"b{i}", "user@host", "edgekit")])
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(registry.boards()) == {f"b{i}" for i in range(8)}
