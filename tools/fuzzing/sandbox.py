"""One case in a forked child: bounded in time and memory, watched for files and programs outside its folder."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import resource
import signal
import struct
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import edgekit

SECONDS, MEMORY = 20.0, 2 << 30
CANARY = "do not read me: 9c1f0d6e"
TOOL_FAULT = 99  # the exit code of a case that could not be made

_REPOSITORY = Path(__file__).parents[2]
_IN_ACCESS, _IN_MODIFY, _IN_OPEN, _IN_CREATE, _IN_DELETE, _IN_MOVED = 0x1, 0x2, 0x20, 0x100, 0x200, 0xC0
_READABLE = ("/proc", "/sys", "/etc", "/usr", "/lib", "/lib64", "/dev", "/opt", "/nix")

Act = Callable[[], int]
"""What a case does; the exit code."""


@dataclass
class Outcome:
    """How a child ended. ``code``: exit code, negative for a signal, None for one that took too long.

    seconds  without those in which others had the cores
    cpu      seconds of computing
    outside  what it touched outside its folder, one line each
    """

    code: int | None
    seconds: float
    cpu: float
    megabytes: int
    out: str
    err: str
    outside: list[str] = field(default_factory=list)


class Child:
    """A running case. ``make`` gets the case's folder ``box`` and a folder ``outside`` of it with a file to stay away
    from, and says what to do; both run in the child, ``make`` without limits. ``within``: a folder whose other files
    it may touch too."""

    def __init__(
        self, folder: Path, make: Callable[[Path, Path], Act], seconds: float = SECONDS, within: Path | None = None
    ):
        self.folder, self.box, outside = folder, folder / "box", folder / "outside"
        for place in (self.box, self.box / "home", self.box / "tmp", outside):
            place.mkdir(parents=True)
        (outside / "canary.txt").write_text(CANARY)
        self._notified = _watch(outside, outside / "canary.txt")
        self._began, self._seconds, self._looked = time.monotonic(), seconds, 0.0
        self._delays: dict[str, int] = {}
        self.pid = os.fork()
        if self.pid == 0:
            _child(self.folder, self.box, outside, make, self._notified, within)

    def poll(self) -> Outcome | None:
        """The outcome once it has ended; it is ended where its time is over."""
        pid, status, used = os.wait4(self.pid, os.WNOHANG)
        wall = time.monotonic() - self._began
        if wall > self._looked + 0.2:
            self._looked = wall
            _add_delays(self.pid, self._delays)
        seconds = max(0.0, wall - sum(self._delays.values()) / 1e9)
        late = pid == 0 and seconds > self._seconds
        if pid == 0 and not late:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # and what it has started
        if late:
            _, status, used = os.wait4(self.pid, 0)
        code = None if late else os.waitstatus_to_exitcode(status)
        out, err, touched = (_text(self.folder / name) for name in ("out", "err", "touched"))
        outside = sorted({json.loads(line) for line in touched.splitlines()} | _seen(self._notified))
        if CANARY in out + err:
            outside.append("printed what the file outside holds")
        return Outcome(code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss >> 10, out, err, outside)


def run(
    folder: Path, make: Callable[[Path, Path], Act], seconds: float = SECONDS, within: Path | None = None
) -> Outcome:
    """One case from beginning to end."""
    child = Child(folder, make, seconds, within)
    while (outcome := child.poll()) is None:
        time.sleep(0.003)
    return outcome


def import_everything() -> None:
    """All of edgekit and what it imports late, so that a fork need not; what is there by then is never collected."""
    for name in ("onnxruntime", "cv2", "jinja2", "rich.table", "rich.text", "rich.progress", "rich.console", "yaml"):
        importlib.import_module(name)
    for module in pkgutil.walk_packages(edgekit.__path__, "edgekit."):
        if module.name != "edgekit.__main__":
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def command(*arguments: object) -> Act:
    """``edgekit …`` in this process."""

    def act() -> int:
        from edgekit.cli.main import main

        return main([str(argument) for argument in arguments])

    return act


def call(function: Callable[[], object]) -> Act:
    """A function of edgekit: 0, or 2 for an EdgekitError, told as the command line does."""

    def act() -> int:
        from edgekit.errors import EdgekitError
        from edgekit.frames.terminal import spelled_out

        try:
            function()
            return 0
        except EdgekitError as error:
            print(f"edgekit: {spelled_out(str(error))}", file=sys.stderr)
            return 2

    return act


def _add_delays(pid: int, delays: dict[str, int]) -> None:
    """Nanoseconds that each thread of a process and its children was ready while others had the cores.

    A busy machine makes nothing hang; what sleeps or computes is not delayed.
    """
    with contextlib.suppress(OSError, IndexError, ValueError):  # each may end meanwhile
        for thread in os.listdir(f"/proc/{pid}/task"):
            task = Path(f"/proc/{pid}/task/{thread}")
            delays[thread] = int((task / "schedstat").read_text(encoding="utf-8").split()[1])
            for child in (task / "children").read_text(encoding="utf-8").split():
                _add_delays(int(child), delays)


def _child(
    folder: Path, box: Path, outside: Path, make: Callable[[Path, Path], Act], notified: int | None, within: Path | None
) -> None:
    code = TOOL_FAULT
    try:
        os.setsid()
        for ending in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ending, signal.SIG_DFL)
        if notified is not None:
            os.close(notified)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", 1, "utf-8", closefd=False) for n in (1, 2))
        act = make(box, outside)
        os.environ.update(
            HOME=str(box / "home"),
            TMPDIR=str(box / "tmp"),
            EDGEKIT_CACHE=str(box / "cache"),
            TORCHINDUCTOR_CACHE_DIR=str(box / "tmp"),
        )
        import tempfile

        tempfile.tempdir = None
        os.chdir(box)
        _limit()
        sys.addaudithook(
            _hook(
                (box, within),
                outside,
                os.fdopen(os.open(folder / "touched", os.O_WRONLY | os.O_CREAT), "w", 1, "utf-8"),
            )
        )
        code = 70
        code = act()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush(), sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 70)


def _limit() -> None:
    taken = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _hook(inside: Sequence[Path | None], outside: Path, log) -> Callable[[str, tuple], None]:
    """Writes a line for every file outside that is opened, changed or removed, and every program that is started."""
    paths = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *sys.path, str(_REPOSITORY)}
    readable = tuple(os.path.realpath(path) + "/" for path in paths if path) + tuple(f"{p}/" for p in _READABLE)
    own = tuple(os.path.realpath(path) + "/" for path in inside if path)
    other = os.path.realpath(outside) + "/"
    busy = [False]

    def tell(line: str) -> None:
        log.write(json.dumps(line) + "\n")
        log.flush()

    def hook(event: str, arguments: tuple) -> None:
        if busy[0] or event not in _EVENTS:
            return
        busy[0] = True
        try:
            if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
                program = os.fspath(arguments[0] or arguments[1][0])
                program = program.decode() if isinstance(program, bytes) else program
                if os.path.realpath(program) != os.path.realpath(sys.executable):
                    tell(f"started {program}")
                return
            for path in arguments[: _EVENTS[event]]:
                if not isinstance(path, (str, bytes, os.PathLike)):
                    continue
                real = os.path.realpath(os.fsdecode(path))
                own_file = f"{real}/".startswith(own) and not f"{real}/".startswith(other)
                if own_file or real == os.devnull:
                    continue
                flags = arguments[2] if event == "open" and len(arguments) > 2 else os.O_WRONLY
                writes = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))
                writes = writes and not real.startswith("/dev/")
                if writes or not f"{real}/".startswith(readable):
                    tell(f"{'wrote' if writes else 'read'} {real} ({event})")
        except Exception as error:  # a path that cannot be one: no file is opened by it
            if not isinstance(error, (ValueError, OSError)):
                tell(f"the watch failed: {error!r}")
        finally:
            busy[0] = False

    return hook


_EVENTS = {
    "open": 1,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.link": 2,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.chmod": 1,
    "shutil.rmtree": 1,
    "subprocess.Popen": 0,
    "os.exec": 0,
    "os.posix_spawn": 0,
    "os.system": 0,
}
"""Event of Python's audit hooks → how many of its arguments are paths."""


def _watch(*paths: Path) -> int | None:
    """The kernel's word of what happens to files, also where a library in C opens them; None where it has none."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for path in paths:
            mask = _IN_ACCESS | _IN_MODIFY | _IN_CREATE | _IN_DELETE | _IN_MOVED
            libc.inotify_add_watch(handle, os.fsencode(path), mask if path.is_dir() else mask | _IN_OPEN)
        return handle if handle >= 0 else None
    except (OSError, AttributeError):
        return None


def _seen(handle: int | None) -> set[str]:
    if handle is None:
        return set()
    found: set[str] = set()
    with contextlib.suppress(BlockingIOError):
        while data := os.read(handle, 1 << 16):
            place = 0
            while place < len(data):
                _, mask, _, size = struct.unpack_from("iIII", data, place)
                name = data[place + 16 : place + 16 + size].rstrip(b"\0").decode(errors="replace")
                if not mask & 0x40000000 and mask & ~0x8000:  # of files, not the folder being listed
                    found.add(f"the kernel saw the file outside touched: {name or 'canary.txt'} (event {mask:#x})")
                place += 16 + size
    os.close(handle)
    return found


def _text(path: Path, most: int = 1 << 20) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(most).decode(errors="replace")
    except FileNotFoundError:
        return ""


def judge(outcome: Outcome, allowed: Sequence[int] = (0, 1, 2)) -> str | None:
    """What is wrong with an outcome, in a line that is the same for the same fault; None where nothing is."""
    if outcome.code == TOOL_FAULT:
        return f"the tool itself failed: {outcome.err.strip().splitlines()[-1:]}"
    if outcome.outside:
        return f"outside: {outcome.outside[0]}"
    if outcome.code is None:
        return f"took over {SECONDS:.0f} s"
    if "MemoryError" in outcome.err or "bad_alloc" in outcome.err or "can't allocate memory" in outcome.err:
        return f"took over {MEMORY >> 20} MB: {_signature(outcome.err)}"
    if "Traceback (most recent call last)" in outcome.err:
        return f"traceback: {_signature(outcome.err)}"
    if outcome.code not in allowed:
        return f"exit code {outcome.code}: {outcome.err.strip()[-200:]!r}"
    if bad := [c for c in outcome.out + outcome.err if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160]:
        return f"printed the control character {bad[0]!r}"
    said = outcome.err + outcome.out
    told = [("edgekit: ", "\n  where: ", "\n  fix:   "), ('"what": "', '"where": "', '"fix": "'), ("Usage:",)]
    if outcome.code == 2 and not any(all(word in said for word in words) for words in told):
        return f"refused without saying what, where and what to do: {_signature(outcome.err)}"
    return None


def _signature(err: str) -> str:
    """Exception and the innermost line of edgekit's code of a traceback."""
    lines = err.strip().splitlines()
    places = [line.strip() for line in lines if line.strip().startswith("File ") and "/edgekit/" in line]
    place = places[-1].split("/edgekit/")[-1].replace('", line ', ":").split(",")[0] if places else "?"
    last = [line for line in lines if line and not line.startswith((" ", "edgekit:"))]
    said = last[-1] if last else ""
    return f"{place} {said[:120]}"
