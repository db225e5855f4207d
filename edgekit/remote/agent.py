"""What runs on the board, under its own Python (3.8 or newer), with nothing installed: it keeps files and runs one job.

``connection`` hands this file's text to ``python3 -c``, so it is always the workstation's own. Requests come on stdin,
answers go to stdout, each as one line of JSON, a file's content as bytes behind its line. Files are named relative to
the board's folder. A job is run by a process of its own, which a lost connection does not end; its output waits in
files.
"""

from __future__ import annotations

import contextlib
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
SILENCE = 60.0  # seconds: whoever holds the board and says nothing is gone
GRACE = 20.0  # seconds that a command gets to end after Ctrl-C
PIECE = 1 << 16
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class AgentError(Exception):
    """Something a user can mend: (what, where, fix)."""


class Agent:
    """A request ``{"do": "take", …}`` is a call of the method of that name; what it returns is the answer."""

    def __init__(self, folder: str):
        self.folder = Path(folder).expanduser().absolute()
        self.job = self.folder
        self.lock = None
        self.rest = b""

    def more(self, seconds: float | None) -> bool:
        """Read on; False where nothing comes within ``seconds``."""
        if seconds is not None and not select.select([0], [], [], seconds)[0]:
            return False
        piece = os.read(0, PIECE)
        if not piece:
            raise EOFError
        self.rest += piece
        return True

    def receive(self, seconds: float | None = None) -> dict | None:
        while b"\n" not in self.rest:
            if not self.more(seconds):
                return None
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def hello(self) -> dict:
        site = "venv/lib/python3*/site-packages"
        found = sorted(self.folder.glob(site + "/edgekit-*.dist-info/digest"))
        return {
            "folder": str(self.folder),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "glibc": platform.libc_ver()[1],
            "tensorrt": find_spec("tensorrt") is not None,
            "pycuda": find_spec("pycuda") is not None or any(self.folder.glob(site + "/pycuda")),
            "installed": {"digest": found[0].read_text(), "python": found[0].parents[2].name[6:]} if found else None,
        }

    def take(self, id: str, who: str, what: str) -> dict:
        """Hold the board for one job, or join the very same one that runs, or ended while the connection was lost."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.job = self.folder / "jobs" / id
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        if not locks(lock):
            holder = parsed(os.pread(lock, 4096, 0)) or {"what": "another command", "who": "another user"}
            os.close(lock)
            if holder.get("id") == id and (self.job / "lock").exists():
                return {"state": "runs"}
            fix = "wait for it to end; who started it stops it with Ctrl-C, after the same command again if need be"
            raise AgentError("the board is busy with `{what}` of {who}".format_map(holder), None, fix)
        self.lock = lock
        with contextlib.suppress(FileNotFoundError):
            if time.time() - (self.job / "done").stat().st_mtime < UNWATCHED:
                return {"state": "has ended"}
        for old in self.folder.glob("jobs/*"):
            if old == self.job or time.time() - old.stat().st_mtime > UNWATCHED:
                shutil.rmtree(old, ignore_errors=True)
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps({"id": id, "who": who, "what": what}).encode(), 0)
        return {"state": "free"}

    def need(self, folder: str, files: dict[str, str], keep: str | None) -> dict:
        """Which of ``files``, name → SHA-256, a folder lacks; what else is in it goes, but for ``keep``."""
        place = self.folder / folder
        place.mkdir(parents=True, exist_ok=True)
        for path in list(place.rglob("*")):
            name = path.relative_to(place)
            if not path.is_dir() and name.as_posix() not in files and name.parts[0] != keep:
                path.unlink()
        return {"need": [name for name, digest in files.items() if sha256(place / name) != digest]}

    def put(self, file: str, digest: str, bytes: int) -> dict:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        part, found = path.with_name(".part-" + path.name), hashlib.sha256()
        try:
            with open(part, "wb") as to:
                while bytes:
                    if not self.rest and not self.more(SILENCE):
                        raise EOFError
                    piece, self.rest = self.rest[:bytes], self.rest[bytes:]
                    found.update(piece)
                    to.write(piece)
                    bytes -= len(piece)
            if found.hexdigest() != digest:
                raise AgentError("the file changed while it was copied", file, "run the same command again")
            os.replace(part, path)
        finally:
            if part.exists():
                part.unlink()
        return {}

    def start(self, steps: list[dict], env: dict[str, str], terminals: dict[str, bool]) -> dict:
        """Start the job for which the board was taken. Its process holds the board from here on."""
        if shutil.disk_usage(self.folder).free < LEAST_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
        self.job.mkdir(parents=True)
        for name in ("out", "err", "seen"):
            (self.job / name).touch()
        lock = os.open(self.job / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        locks(lock)
        if os.fork() == 0:
            try:
                os.setsid()
                nowhere = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(nowhere, stream)
                run_job(self.folder, self.job, steps, env, terminals)
            finally:
                os._exit(0)
        os.close(lock)
        os.close(self.lock)
        self.lock = None
        return {}

    def watch(self) -> dict:
        """Send what the job prints as it comes, until it has ended; a request "stop" ends it."""
        ticked = time.monotonic()
        with contextlib.ExitStack() as held:  # Python 3.8 has no brackets around several files
            err, out, lock = (held.enter_context(open(self.job / name, "rb")) for name in ("err", "out", "lock"))
            while True:
                ended = (self.job / "done").exists() or locks(lock.fileno())  # before the last of it is read
                for name, file in (("err", err), ("out", out)):
                    for piece in iter(lambda file=file: file.read(PIECE), b""):
                        write(json.dumps({"stream": name, "bytes": len(piece)}).encode() + b"\n" + piece)
                if ended:
                    done = self.job / "done"  # not there where the job's process was killed
                    return {"ended": parsed(done.read_bytes() if done.exists() else b"") or {"codes": []}}
                if time.monotonic() - ticked > 5:
                    ticked = time.monotonic()
                    write(b'{"tick": true}\n')
                request = self.receive(0.1)
                if request is not None:
                    (self.job / ("stop" if request["do"] == "stop" else "seen")).touch()

    def listing(self, folder: str, end: str) -> dict:
        """Name → SHA-256 of the files below a folder whose names end so."""
        place = self.folder / folder
        found = (path for path in place.rglob("*" + end) if path.is_file())
        return {"files": {path.relative_to(place).as_posix(): sha256(path) for path in found}}

    def get(self, file: str) -> dict:
        with open(self.folder / file, "rb") as content:
            left = os.fstat(content.fileno()).st_size
            write(b'{"bytes": %d}\n' % left)
            while left:
                piece = content.read(min(left, PIECE))
                if not piece:
                    raise EOFError
                write(piece)
                left -= len(piece)
        return {}

    def forget(self) -> dict:
        shutil.rmtree(self.job, ignore_errors=True)
        return {}


def run_job(folder: Path, job: Path, steps: list[dict], env: dict[str, str], terminals: dict[str, bool]) -> None:
    """Run ``steps``, which ``edgekit.remote.job`` describes, and leave their exit codes in ``done``."""
    path = env["PATH"].replace(FOLDER, str(folder)) + os.pathsep + os.environ.get("PATH", os.defpath)
    shared = {"stdin": subprocess.DEVNULL, "cwd": job, "env": {**os.environ, **env, "PATH": path}}
    codes, stopped = [], False
    with open(job / "out", "ab", 0) as out, open(job / "err", "ab", 0) as err:
        for step in steps:
            err.write(step["say"].encode())
            words = [word.replace(FOLDER, str(folder)) for word in step["words"]]
            shown = {"out": out if step["prints"] else err, "err": err}
            with contextlib.ExitStack() as stack:
                streams = [
                    stack.enter_context(terminal(shown[name])) if terminals[name] else shown[name].fileno()
                    for name in ("out", "err")
                ]
                try:
                    child = subprocess.Popen(
                        words, stdout=streams[0], stderr=streams[1], start_new_session=True, **shared
                    )
                    stopped = wait(child, job)
                    codes.append(child.returncode)
                except OSError as error:
                    err.write(f"{words[0]}: {error.strerror}\n".encode())
                    codes.append(127)
            if stopped or (codes[-1] != 0 and not step["go_on"]):
                break
    part = job / ".done"
    part.write_text(json.dumps({"codes": codes, "stopped": stopped}))
    os.replace(part, job / "done")


def wait(child: subprocess.Popen, job: Path) -> bool:
    """Wait for a command's end; True where it was stopped, as asked or because nobody watches any more."""
    seen, since = 0, time.monotonic()  # the clock of a board that has just been started may leap by years
    while child.poll() is None:
        time.sleep(0.1)
        if (at := (job / "seen").stat().st_mtime_ns) != seen:
            seen, since = at, time.monotonic()
        if (job / "stop").exists() or time.monotonic() - since > UNWATCHED:
            os.killpg(child.pid, signal.SIGINT)
            try:
                child.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            return True
    return False


@contextlib.contextmanager
def terminal(file):
    """The end of a terminal to write to; what is written to it goes to ``file``."""

    def copy() -> None:
        with contextlib.suppress(OSError):  # nobody has the terminal open any more
            while True:
                file.write(os.read(ours, PIECE))

    ours, theirs = pty.openpty()
    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    yield theirs
    os.close(theirs)
    thread.join(2)
    os.close(ours)


def locks(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def parsed(text: bytes) -> dict:
    """Empty where it is no JSON, such as a file that is being written."""
    try:
        return json.loads(text)
    except ValueError:
        return {}


def sha256(path: Path) -> str | None:
    """None where there is no such file."""
    found = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for piece in iter(lambda: file.read(PIECE), b""):
                found.update(piece)
    except OSError:
        return None
    return found.hexdigest()


def write(content: bytes) -> None:
    while content:
        content = content[os.write(1, content) :]


def main(folder: str) -> None:
    agent = Agent(folder)
    try:
        write(HELLO)
        answer = agent.hello()
        while True:
            write(json.dumps(answer).encode() + b"\n")
            request = agent.receive(SILENCE if agent.lock is not None else None)
            if request is None:
                return
            answer = getattr(agent, request.pop("do"))(**request)
    except (EOFError, BrokenPipeError):
        return
    except AgentError as refusal:
        error = refusal.args
    except OSError as refused:
        full = refused.errno in FULL
        what = "its disk is full" if full else f"it refuses: {refused.strerror}"
        fix = "free some space there, then run the same command again" if full else None
        error = (what, refused.filename or str(agent.folder), fix)
    write(json.dumps({"error": error}).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
