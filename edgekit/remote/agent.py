"""What runs on the board, under its own Python (3.8 or newer), with nothing installed: it keeps files and runs one job.

``connection`` hands this file's text to ``python3 -c``, so it is always the workstation's own. Requests come on stdin,
answers go to stdout, each as one line of JSON, a file's content as bytes behind its line. Files are named relative to
the board's folder.

A job is run by a process of its own, the supervisor, which a lost connection does not end; its output waits in files.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import platform
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

HELLO = b"edgekit agent\n"  # what a login shell prints comes before it
FOLDER = "\0"  # stands for the board's folder in the words of a command
LEAST_FREE = 16 << 20  # bytes: with less a job's output could not be kept
UNWATCHED = 3600.0  # seconds: a job that nobody watches ends after them, and its result is forgotten
KEPT = 86400.0  # seconds: how long old jobs and inputs stay
SILENCE = 60.0  # seconds: whoever holds the board and says nothing is gone
GRACE = 20.0  # seconds that a command gets to end after Ctrl-C
PIECE = 1 << 16
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Refusal(Exception):
    """Something a user can mend: (what, where, fix)."""


class Agent:
    def __init__(self, folder: str):
        self.folder = Path(folder).expanduser().absolute()
        self.job = self.folder
        self.lock = None
        self._rest = b""

    # the wire

    def send(self, answer: dict, content: bytes = b"") -> None:
        write(json.dumps(answer).encode() + b"\n" + content)

    def receive(self, seconds: float | None = None) -> dict | None:
        """The next request; None where none comes within ``seconds``."""
        while b"\n" not in self._rest:
            if not self._more(seconds):
                return None
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def _more(self, seconds: float | None) -> bool:
        if seconds is not None and not select.select([0], [], [], seconds)[0]:
            return False
        piece = os.read(0, PIECE)
        if not piece:
            raise EOFError
        self._rest += piece
        return True

    # requests

    def hello(self) -> dict:
        found = sorted(self.folder.glob("venv/lib/python3*/site-packages/edgekit-*.dist-info/digest"))
        return {
            "folder": str(self.folder),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "glibc": platform.libc_ver()[1],
            "tensorrt": find_spec("tensorrt") is not None,
            "pycuda": find_spec("pycuda") is not None
            or any(self.folder.glob("venv/lib/python3*/site-packages/pycuda")),
            "installed": {"digest": found[0].read_text(), "python": found[0].parents[2].name[6:]} if found else None,
        }

    def take(self, id: str, who: str, what: str) -> dict:
        """Hold the board for one job, or join the very same one that runs, or ended while the connection was lost."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.job = self.folder / "jobs" / id
        current = self.folder / "current"
        handle = os.open(str(self.folder / "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            holder = read_json(current)
            if holder.get("id") == id and (self.job / "lock").exists():
                return {"state": "running", "since": holder["since"]}
            said = "the board is busy with `{what}` of {who}, since {since}".format_map({**EMPTY, **holder})
            fix = "wait for it to end; whoever started it stops it with Ctrl-C, after the same command again if need be"
            raise Refusal(said, None, fix) from None
        self.lock = handle
        done = self.job / "done"
        if done.exists() and time.time() - done.stat().st_mtime < UNWATCHED:
            return {"state": "ended", "since": time.strftime("%H:%M", time.localtime(done.stat().st_mtime))}
        for old in (*self.folder.glob("jobs/*"), *self.folder.glob("inputs/*")):
            if old == self.job or time.time() - old.stat().st_mtime > KEPT:
                shutil.rmtree(str(old), ignore_errors=True)
        current.write_text(json.dumps({"id": id, "who": who, "what": what, "since": time.strftime("%H:%M")}))
        return {"state": "free"}

    def need(self, folder: str, files: dict[str, str], keep: str | None) -> dict:
        """Which of ``files``, name → SHA-256, a folder lacks; what else is in it goes, but for ``keep``."""
        place = self.folder / folder
        place.mkdir(parents=True, exist_ok=True)
        os.utime(str(place))
        for path in list(place.rglob("*")):
            name = path.relative_to(place)
            if not path.is_dir() and name.as_posix() not in files and name.parts[0] != keep:
                path.unlink()
        return {"need": [name for name, digest in files.items() if sha256(place / name) != digest]}

    def put(self, file: str, digest: str, bytes: int) -> dict:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        part, found, left = path.with_name(".part-" + path.name), hashlib.sha256(), bytes
        try:
            with open(str(part), "wb") as to:
                while left:
                    if not self._rest and not self._more(SILENCE):
                        raise EOFError
                    piece, self._rest = self._rest[:left], self._rest[left:]
                    found.update(piece)
                    to.write(piece)
                    left -= len(piece)
            if found.hexdigest() != digest:
                raise Refusal("the file changed while it was copied", file, "run the same command again")
            os.replace(str(part), str(path))
        finally:
            if part.exists():
                part.unlink()
        return {"put": file}

    def start(self, steps: list[dict], env: dict[str, str], terminals: dict[str, bool]) -> dict:
        """Start the job for which the board was taken; the supervisor holds the board from here on."""
        if shutil.disk_usage(str(self.folder)).free < LEAST_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
        self.job.mkdir(parents=True)
        for name in ("out", "err", "seen"):
            (self.job / name).touch()
        lock = os.open(str(self.job / "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fork() == 0:
            try:
                os.setsid()
                nowhere = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(nowhere, stream)
                Supervisor(self.folder, self.job, env, terminals).run(steps)
            finally:
                os._exit(0)
        os.close(lock)
        os.close(self.lock)
        self.lock = None
        return {"started": True}

    def watch(self) -> dict:
        """Send what the job prints as it comes, until it has ended; "stop" from the other side ends it."""
        ticked = time.monotonic()
        with open(str(self.job / "err"), "rb") as err, open(str(self.job / "out"), "rb") as out:
            while True:
                ended = self._ended()
                for name, file in (("err", err), ("out", out)):
                    for piece in iter(lambda file=file: file.read(PIECE), b""):
                        self.send({"stream": name, "bytes": len(piece)}, piece)
                if ended is not None:
                    return {"ended": ended}
                if time.monotonic() - ticked > 5:
                    ticked = time.monotonic()
                    self.send({"tick": True})
                request = self.receive(0.1)
                if request is not None:
                    (self.job / ("stop" if request["do"] == "stop" else "seen")).touch()

    def _ended(self) -> dict | None:
        if (self.job / "done").exists():
            return read_json(self.job / "done")
        with open(str(self.job / "lock")) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return None
        return read_json(self.job / "done") or {"codes": [], "stopped": False, "free": free(self.folder)}

    def listing(self, folder: str, end: str) -> dict:
        """Name → SHA-256 of the files below a folder whose names end so."""
        place = self.folder / folder
        found = (p for p in place.rglob("*" + end) if p.is_file())
        return {"files": {p.relative_to(place).as_posix(): sha256(p) for p in found}}

    def get(self, file: str) -> dict:
        with open(str(self.folder / file), "rb") as content:
            left = os.fstat(content.fileno()).st_size
            self.send({"bytes": left})
            while left:
                piece = content.read(min(left, PIECE))
                if not piece:
                    raise EOFError
                write(piece)
                left -= len(piece)
        return {"got": file}

    def forget(self) -> dict:
        shutil.rmtree(str(self.job), ignore_errors=True)
        return {"forgotten": True}


class Supervisor:
    """Runs the steps of a job one after the other, and ends them where that is asked or nobody watches any more."""

    def __init__(self, folder: Path, job: Path, env: dict[str, str], terminals: dict[str, bool]):
        self.folder, self.job, self.terminals = folder, job, terminals
        self.env = {name: value.replace(FOLDER, str(folder)) for name, value in {**os.environ, **env}.items()}
        self.env["PATH"] = env["PATH"].replace(FOLDER, str(folder)) + os.pathsep + os.environ.get("PATH", os.defpath)
        self.stopped = False

    def run(self, steps: list[dict]) -> None:
        """``steps`` are those of ``edgekit.remote.job``."""
        codes = []
        with open(str(self.job / "out"), "ab", 0) as out, open(str(self.job / "err"), "ab", 0) as err:
            for step in steps:
                if step["say"]:
                    err.write((step["say"] + "\n").encode())
                codes.append(self._step(step, out if step["prints"] else err, err))
                if self.stopped or (codes[-1] != 0 and not step["go_on"]):
                    break
        part = self.job / ".done"
        part.write_text(json.dumps({"codes": codes, "stopped": self.stopped, "free": free(self.folder)}))
        os.replace(str(part), str(self.job / "done"))

    def _step(self, step: dict, out, err) -> int:
        words = [word.replace(FOLDER, str(self.folder)) for word in step["words"]]
        copying, streams = [], []
        for file, terminal in ((out, self.terminals["out"] and step["prints"]), (err, self.terminals["err"])):
            stream = file.fileno()
            if terminal:
                ours, stream = pty.openpty()
                copying.append((threading.Thread(target=copy, args=(ours, file), daemon=True), stream))
            streams.append(stream)
        try:
            child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=streams[0],
                stderr=streams[1],
                cwd=str(self.job),
                env=self.env,
                start_new_session=True,
            )
        except OSError as error:
            err.write(f"{words[0]}: {error.strerror}\n".encode())
            return 127
        for thread, theirs in copying:
            os.close(theirs)
            thread.start()
        code = self._wait(child)
        for thread, _ in copying:
            thread.join(2)
        return code

    def _wait(self, child: subprocess.Popen) -> int:
        while child.poll() is None:
            time.sleep(0.1)
            watched = time.time() - (self.job / "seen").stat().st_mtime < UNWATCHED
            if not self.stopped and ((self.job / "stop").exists() or not watched):
                self.stopped = True
                os.killpg(child.pid, signal.SIGINT)
                try:
                    child.wait(GRACE)
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)
        return child.returncode


EMPTY = {"what": "another command", "who": "another user", "since": "a moment ago"}


def write(content: bytes) -> None:
    while content:
        content = content[os.write(1, content) :]


def copy(terminal: int, file) -> None:
    """What is written to a terminal, into a file; ends when nobody has the terminal open."""
    while True:
        try:
            file.write(os.read(terminal, PIECE))
        except OSError:
            os.close(terminal)
            return


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def sha256(path: Path) -> str | None:
    """None where there is no such file."""
    found = hashlib.sha256()
    try:
        with open(str(path), "rb") as file:
            for piece in iter(lambda: file.read(PIECE), b""):
                found.update(piece)
    except OSError:
        return None
    return found.hexdigest()


def free(folder: Path) -> int:
    return shutil.disk_usage(str(folder)).free


def main(folder: str) -> None:
    agent = Agent(folder)
    try:
        os.write(1, HELLO)
        agent.send(agent.hello())
        while True:
            request = agent.receive(SILENCE if agent.lock is not None else None)
            if request is None:
                return
            agent.send(getattr(agent, request.pop("do"))(**request))
    except (EOFError, BrokenPipeError):
        pass
    except Refusal as refusal:
        agent.send({"error": refusal.args})
    except OSError as error:
        fix = "free some space there, then run the same command again" if error.errno in FULL else None
        what = "its disk is full" if error.errno in FULL else f"it refuses: {error.strerror}"
        agent.send({"error": (what, error.filename or str(agent.folder), fix)})


if __name__ == "__main__":
    main(sys.argv[1])
