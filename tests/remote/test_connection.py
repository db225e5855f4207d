"""Reaching a board: what ssh refuses ends in one sentence that says what to do, and no key is accepted unseen."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path

import pytest

from edgekit.cli.main import main
from edgekit.errors import EdgekitError
from edgekit.remote import agent, registry
from edgekit.remote.connection import Connection
from edgekit.remote.job import bring


def error_of(capsys) -> dict:
    capsys.readouterr()
    assert main(["board", "install", "orin", "--json"]) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return json.loads(out)["error"]


def test_a_host_key_that_changed(board, capsys):
    board.make_key()
    board.restart()
    before = (board.place / "known_hosts").read_text()
    error = error_of(capsys)
    assert error["what"] == "board 'orin': its host key has changed: it was flashed anew, or another machine answers"
    assert "ssh-keygen -R" in error["fix"] and "compare the fingerprint" in error["fix"]
    assert (board.place / "known_hosts").read_text() == before and not board.folder.exists()
    board.trust()
    with Connection(registry.find("orin")) as connection:
        assert connection.hello["folder"] == str(board.folder)


@pytest.mark.parametrize("wish", ["", " StrictHostKeyChecking no\n", " StrictHostKeyChecking accept-new\n"])
def test_a_host_key_that_nobody_has_seen(board, capsys, wish):
    """Not even where the user's configuration would take it."""
    (board.place / "config").write_text((board.place / "config").read_text() + wish)
    (board.place / "known_hosts").write_text("")
    error = error_of(capsys)
    assert error["what"] == "board 'orin': its host key is not known here" and "`ssh board` once" in error["fix"]
    assert (board.place / "known_hosts").read_text() == ""


def test_a_key_that_the_board_does_not_know(board, capsys):
    board.make_key("user_key")
    (board.place / "user_key.pub").write_text("")  # which is what the server accepts
    error = error_of(capsys)
    assert "does not accept your key" in error["what"] and "ssh-copy-id board" in error["fix"]


def test_no_passphrase_is_asked_for(board, capsys, tmp_path, monkeypatch):
    """Not even where a program for it is at hand, which ssh starts where there is no terminal."""
    key, asked = board.place / "user_key", tmp_path / "asked"
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(key)], check=True)
    program = tmp_path / "askpass"
    program.write_text(f"#!/bin/sh\ntouch {asked}\necho secret\n")
    program.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    assert "does not accept your key" in error_of(capsys)["what"] and not asked.exists()
    ssh = ["ssh", "board", "true"]  # so ssh itself would ask, and get in
    assert subprocess.run(ssh, check=False, stdin=subprocess.DEVNULL).returncode == 0 and asked.exists()


def test_a_board_that_does_not_answer(board, capsys):
    board.stop()
    error = error_of(capsys)
    assert "no ssh server answers there" in error["what"] and "Connection refused" in error["where"]
    assert main(["board", "add", "far", "edgekit.invalid"]) == 0
    with pytest.raises(EdgekitError, match="its address is not known"), Connection(registry.find("far")):
        pass


def test_a_board_without_python(board, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    board.environ(PATH=str(tmp_path / "empty"))
    assert "it has no python3" in error_of(capsys)["what"]


def test_a_machine_without_ssh(board, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert error_of(capsys)["what"] == "there is no ssh on this machine"


def test_a_login_shell_that_talks(board):
    """Some greet in every shell, which comes before the agent's first word."""
    python = board.place / "talking" / "python3"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "Welcome to Ubuntu"\nexec /usr/bin/env PATH="${PATH#*:}" python3 "$@"\n')
    python.chmod(0o755)
    board.environ(PATH=f"{python.parent}:{board.environment['PATH']}")
    with Connection(registry.find("orin")) as connection:
        assert connection.hello["installed"] is None


def test_a_fault_in_the_agent_shows_its_traceback(board):
    with Connection(registry.find("orin")) as connection, pytest.raises(RuntimeError, match="AttributeError"):
        connection.ask("nonsense")


def test_the_folder_there_cannot_be_made(sshd, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["board", "add", "orin", "board", "--folder", str(tmp_path / "file" / "x")]) == 0
    with (
        Connection(registry.find("orin")) as connection,
        pytest.raises(EdgekitError, match="it refuses: Not a directory"),
    ):
        connection.ask("take", id="a", who="b", what="c")


def test_files_that_a_board_names_outside_its_folder_are_refused(tmp_path):
    """A board is not trusted with this machine's files."""

    class Hostile:
        board = registry.RemoteBoard("orin", "host", "edgekit")
        name = ""

        def ask(self, do, **request):
            return {"files": {self.name: "0" * 64}}

        def get(self, file, target, digest):
            target.write_text("taken over")

    for Hostile.name in ("../x", "/etc/x", "a/../../x", "a/..", "a\0b", ".bashrc"):
        with pytest.raises(EdgekitError, match=r"the board.s file .* cannot name a file"):
            bring(Hostile(), "folder", (tmp_path / "in").joinpath)
    assert list(tmp_path.iterdir()) == []


def test_the_agent_needs_only_what_the_oldest_board_has():
    """JetPack 5 has Python 3.8, and must be told so by the agent itself."""
    tree = ast.parse(Path(agent.__file__).read_text(), feature_version=(3, 8))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in imported if name.startswith("edgekit")]
