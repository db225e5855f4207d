"""A board that is this machine: a real sshd on localhost, with the fake TensorRT at its end."""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgekit.frames.files import atomic_write
from edgekit.remote import install

TESTS = Path(__file__).parents[1]
SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


def why_no_sshd() -> str | None:
    if SSHD is None or shutil.which("ssh") is None:
        return "no sshd here: apt-get install openssh-server"
    if os.geteuid() == 0 and not os.path.isdir("/run/sshd"):
        return "sshd needs the folder /run/sshd when root starts it: mkdir /run/sshd"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("sshd")
        except KeyError:
            return "sshd needs the user sshd when root starts it: useradd --system --no-create-home sshd"
    return None


@dataclass
class Sshd:
    """``folder``: the board's. ``environment``: what commands there find in theirs."""

    place: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None

    @property
    def folder(self) -> Path:
        return self.place / "board"

    def start(self, preexec: Callable[[], None] | None = None) -> None:
        settings = {
            "ListenAddress": "127.0.0.1", "Port": self.port, "HostKey": self.place / "host_key", "PidFile": "none",
            "AuthorizedKeysFile": self.place / "user_key.pub", "StrictModes": "no", "UsePAM": "no",
            "PasswordAuthentication": "no", "PermitRootLogin": "prohibit-password",
            "ForceCommand": self.place / "login",
        }  # fmt: skip
        config = self.place / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self.process = subprocess.Popen(
            [SSHD, "-D", "-E", str(self.place / "sshd.log"), "-f", str(config)],
            preexec_fn=preexec,
            start_new_session=True,
        )
        end = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < end and self.process.poll() is None, (self.place / "sshd.log").read_text()
            time.sleep(0.05)

    def restart(self, preexec: Callable[[], None] | None = None) -> None:
        self.stop()
        self.start(preexec)

    def environ(self, **changed: str) -> None:
        """Change the environment that commands find from now on; the user's own shell files have no say in it."""
        self.environment.update(changed)
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        script = "\n".join(["#!/bin/sh", *lines, 'exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"', ""])
        with atomic_write(self.place / "login") as part:
            part.write_text(script)
            part.chmod(0o755)

    def connections(self) -> list[int]:
        return children(self.process.pid)

    def cut(self) -> None:
        """End the connections that are open, as a network would that is gone; what runs on the board stays."""
        for pid in self.connections():
            for below in [pid, *children(pid)]:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may end by itself meanwhile
                    if "sshd" in Path(f"/proc/{below}/comm").read_text():
                        os.kill(below, signal.SIGKILL)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            try:
                self.cut()
            finally:
                self.process.terminate()
                self.process.wait(20)

    def make_key(self, name: str = "host_key") -> None:
        for old in self.place.glob(f"{name}*"):
            old.unlink()
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.place / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def trust(self) -> None:
        """What a user does once: accept the host key that the board has now."""
        key = (self.place / "host_key.pub").read_text()
        (self.place / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")

    def pretend_installed(self) -> None:
        """As `board install` leaves it, but that this environment is used."""
        site = self.folder / "venv" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        (site / "edgekit-0.dist-info").mkdir(parents=True)
        (site / "edgekit-0.dist-info" / "digest").write_text(install.package_digest())
        (self.folder / "venv" / "bin").mkdir()
        for name, words in (("edgekit", "-m edgekit"), ("python3", "")):
            script = self.folder / "venv" / "bin" / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
            script.chmod(0o755)


def children(pid: int) -> list[int]:
    # ProcessLookupError: it ended between open and read
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]
    return []


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """An sshd that runs, with a key that the user trusts; ``ssh`` finds it as the host ``board``."""
    if reason := why_no_sshd():
        pytest.skip(reason)
    place = tmp_path / "ssh"
    place.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Sshd(place, free.getsockname()[1])
    server.make_key()
    server.make_key("user_key")
    server.trust()
    config = (
        f"Host board\n HostName 127.0.0.1\n Port {server.port}\n User {getpass.getuser()}\n"
        f" IdentityFile {place}/user_key\n IdentitiesOnly yes\n IdentityAgent none\n"
        f" UserKnownHostsFile {place}/known_hosts\n GlobalKnownHostsFile /dev/null\n"
    )
    (place / "config").write_text(config)
    # ssh reads ~/.ssh of the user's entry in passwd, whatever HOME is: the tests' configuration is named.
    wrapper = place / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {place}/config "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    server.environ(
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        PYTHONPATH=f"{TESTS / 'fakes'}:{TESTS.parent}",
        EDGEKIT_CACHE=str(tmp_path / "board-cache"),
        FAKE_TENSORRT_VERSION="10.3.0",
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def board(sshd: Sshd) -> Sshd:
    """The same, added as the board ``orin``."""
    from edgekit.cli.main import main

    assert main(["board", "add", "orin", "board", "--folder", str(sshd.folder)]) == 0
    return sshd


@pytest.fixture
def installed(board: Sshd) -> Sshd:
    """The same, with edgekit on it."""
    board.pretend_installed()
    return board
