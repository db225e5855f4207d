"""One ssh to a board, with the agent at the other end."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import subprocess
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError
from edgekit.frames.files import atomic_write, sha256
from edgekit.remote import agent
from edgekit.remote.registry import RemoteBoard

# The user's own configuration decides on all else. Nothing is asked for, and no host key is accepted unseen.
_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "ControlPath": "none",
    "LogLevel": "ERROR",
}
_AGAIN = "run the same command again: it goes on where it is"
# What ssh says -> what is wrong with the board, and what to do; {host} is its address.
_SAID = (
    ("IDENTIFICATION HAS CHANGED", "its host key has changed: it was flashed anew, or another machine answers",
     "only if you know why: ssh-keygen -R on its address, then `ssh {host}` once, and compare the fingerprint"),
    ("Host key verification failed", "its host key is not known here",
     "`ssh {host}` once, and compare the fingerprint before you accept it"),
    ("Permission denied", "it does not accept your key, and edgekit reads no passwords",
     "`ssh-copy-id {host}`; a key with a passphrase must be in ssh-agent: `ssh-add`"),
    ("Could not resolve hostname", "its address is not known", "check it: edgekit board list"),
    ("Connection refused", "no ssh server answers there", "on the board: sudo systemctl start ssh"),
    ("", "it cannot be reached", "check that it is on and in this network: `ssh {host}`"),
)  # fmt: skip


class Connection:
    """``with Connection(board) as connection``: ``hello`` is what the board says of itself.

    EdgekitError where the board cannot be reached, refuses, or is lost.
    """

    def __init__(self, board: RemoteBoard):
        self.board = board
        self.hello: dict[str, Any] | None = None
        self._said = ""

    def __enter__(self) -> Connection:
        source = base64.b64encode(zlib.compress(Path(agent.__file__).read_bytes())).decode()
        code = f"import base64,zlib;exec(zlib.decompress(base64.b64decode('{source}')))"
        options = [part for name, value in _OPTIONS.items() for part in ("-o", f"{name}={value}")]
        command = f"exec python3 -c {shlex.quote(code)} {shlex.quote(self.board.folder)}"
        try:
            # A session of its own: Ctrl-C is for us, who tell the board.
            self._ssh = subprocess.Popen(
                ["ssh", "-T", *options, "--", self.board.host, command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise EdgekitError(
                "there is no ssh on this machine",
                where="the PATH of this machine",
                fix="sudo apt install openssh-client",
            ) from None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            for line in self._ssh.stdout:
                if line == agent.HELLO:
                    self.hello = self.answer()
                    return self
            raise self._lost()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._ssh.stdin.close()
        try:
            self._ssh.wait(1.0)
        except subprocess.TimeoutExpired:
            self._ssh.kill()
            self._ssh.wait()
        self._ssh.stdout.close()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        self.send({"do": do, **request})
        return self.answer()

    def send(self, request: dict[str, Any]) -> None:
        """Send immediately (signal-safe); a closed connection is noticed when the answer is read."""
        with contextlib.suppress(BrokenPipeError):
            self._write(json.dumps(request).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        line = self._ssh.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._lost()
        answer = json.loads(line)
        if "error" in answer:
            what, where, fix = answer["error"]
            raise EdgekitError(f"board '{self.board.name}': {what}", where=where, fix=fix)
        return answer

    def content(self, size: int) -> bytes:
        """What stands behind an answer."""
        if len(found := self._ssh.stdout.read(size)) < size:
            raise self._lost()
        return found

    def put(self, source: Path, file: str, digest: str, tell: Callable[[int], None]) -> None:
        """Copy a file to the board; ``tell`` gets the bytes as they go."""
        with open(source, "rb") as opened, contextlib.suppress(BrokenPipeError):  # the answer says why
            left = os.fstat(opened.fileno()).st_size
            self.send({"do": "put", "file": file, "digest": digest, "bytes": left})
            while left:
                piece = opened.read(min(left, agent.PIECE))
                if not piece:
                    raise EdgekitError("the file changed while it was copied", where=str(source), fix=_AGAIN)
                self._write(piece)
                tell(len(piece))
                left -= len(piece)
        self.answer()

    def get(self, file: str, target: Path, digest: str) -> None:
        """Copy a file from the board; it is there whole or not at all."""
        self.send({"do": "get", "file": file})
        left = self.answer()["bytes"]
        with atomic_write(target) as part:
            with open(part, "wb") as opened:
                while left:
                    piece = self.content(min(left, agent.PIECE))
                    opened.write(piece)
                    left -= len(piece)
            if sha256(part) != digest:
                raise EdgekitError(
                    f"'{file}' changed while it was copied from the board",
                    where=f"{self.board.name}: {file}",
                    fix=_AGAIN,
                )
        self.answer()

    def _write(self, content: bytes) -> None:
        while content:
            content = content[os.write(self._ssh.stdin.fileno(), content) :]

    def _listen(self) -> None:
        with self._ssh.stderr as said:
            for line in said:
                # Since Python 3.13 a traceback quotes the whole agent.
                text = line.decode(errors="replace").rstrip()[:300]
                self._said = f"{self._said}{text}\n"[-4000:]

    def _lost(self) -> Exception:
        """Why the other end says no more."""
        with contextlib.suppress(OSError):
            self._ssh.stdin.close()
        code = self._ssh.wait()
        self._listener.join(1.0)
        name, host = self.board.name, self.board.host
        if "Traceback" in self._said:
            return RuntimeError(f"on the board '{name}':\n{self._said}")
        if self.hello is not None:
            return EdgekitError(f"the connection to the board '{name}' was lost", where=host, fix=_AGAIN)
        if code == 127 or "python3: " in self._said:
            return EdgekitError(f"board '{name}': it has no python3", where=host, fix="sudo apt install python3")
        what, fix = next((what, fix) for said, what, fix in _SAID if said in self._said)
        last = self._said.strip().splitlines()[-1:]
        where = f"{host}: {last[0].strip()}" if last else host
        return EdgekitError(f"board '{name}': {what}", where=where, fix=fix.format(host=host))
