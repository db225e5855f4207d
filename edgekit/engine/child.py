"""Running a job in a child process, so that a crash or a kill ends in a message.

When memory runs out the kernel kills the process that uses most of it. That is then the child, and the parent says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from edgekit.boards.memory import read_memory
from edgekit.errors import EdgekitError

GRACE = 10.0  # seconds a child gets to remove what it wrote
TAIL = 4000  # characters of its stderr kept

OnMessage = Callable[[dict[str, Any]], None]


class ChildFault(RuntimeError):
    """A fault in edgekit, in the child; its traceback is the message."""


def run_child(job: Any, listen: OnMessage = lambda event: None) -> dict[str, Any]:
    """Run ``job`` and return its result; ``listen`` gets every event that the worker reports before it.

    EdgekitError that the job raised, or saying that it was killed. KeyboardInterrupt ends the child first.
    """
    read, write = os.pipe()
    command = [sys.executable, "-m", "edgekit.engine.worker", str(write)]
    result: dict[str, Any] | None = None
    with tempfile.TemporaryFile() as printed:
        # A session of its own: Ctrl-C goes to the parent alone, which then ends the child in its own way.
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=printed,
            pass_fds=(write,),
            start_new_session=True,
        )
        os.close(write)
        try:
            with os.fdopen(read) as events:
                child.stdin.write(pickle.dumps(job))
                child.stdin.flush()
                for line in events:
                    event = json.loads(line)
                    if event.keys() & {"result", "error", "fault"}:
                        result = event
                    else:
                        listen(event)
            child.wait()
        except BrokenPipeError:
            child.wait()
        finally:
            end(child)
        printed.seek(0)
        return _outcome(result, child.returncode, printed.read().decode(errors="replace")[-TAIL:])


def end(child: subprocess.Popen) -> None:
    """Let a child remove what it wrote and go; kill it where it does not."""
    try:
        if child.poll() is None:
            child.stdin.close()  # which the worker waits for
            try:
                child.wait(GRACE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()


def _outcome(result: dict[str, Any] | None, code: int, said: str) -> dict[str, Any]:
    if result is not None and "result" in result:
        return result["result"]
    if result is not None and "error" in result:
        error = result["error"]
        raise EdgekitError(error["what"], where=error["where"], fix=error["fix"])
    if result is not None:
        raise ChildFault(result["fault"])
    if code == -signal.SIGKILL:
        raise EdgekitError(
            "the build was killed from outside (signal 9), most likely by the kernel because memory ran out; nothing "
            f"was written. Free now: {_free()}",
            where="the process that builds",
            fix="stop the desktop (`sudo init 3`) and other programs, add swap, or give less: --workspace 128, "
            "--optimization-level 1; `sudo dmesg | tail` shows whether memory was the reason",
        )
    if code >= 0:
        raise ChildFault(said or f"the worker ended with exit code {code} and without a result")
    raise EdgekitError(
        f"TensorRT ended the process ({signal.Signals(-code).name}); nothing was written",
        where=said.strip() or None,
        fix="try another --lane or --precision; a crash inside TensorRT is worth reporting to NVIDIA with its messages",
    )


def _free() -> str:
    memory = read_memory()
    parts = [("memory", memory.available), ("swap", memory.swap_free)]
    return ", ".join(f"{value >> 20} MiB {name}" for name, value in parts if value is not None) or "unknown"
