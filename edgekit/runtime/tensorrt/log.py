"""TensorRT's log messages, kept instead of printed, so that an error can quote them."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Any

KEPT = 500
ERRORS = ("INTERNAL_ERROR", "ERROR")


@lru_cache(maxsize=1)
def tensorrt_logger(trt: Any) -> Any:
    """The process's logger. TensorRT keeps using the first logger it is given, so there is only one.

    ``lines``: the last (severity name, text) of severity WARNING and worse.
    """

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: deque[tuple[str, str]] = deque(maxlen=KEPT)

        def log(self, severity: Any, msg: str) -> None:
            if severity.name in (*ERRORS, "WARNING"):
                self.lines.append((severity.name, msg))

    return Log()


def take_errors(logger: Any) -> str:
    """The last three errors in one line, "" if the log has no errors; the log is emptied."""
    errors = [text for severity, text in logger.lines if severity in ERRORS]
    logger.lines.clear()
    return "; ".join(dict.fromkeys(errors[-3:]))


def warnings(logger: Any) -> list[str]:
    """Each warning once, in order."""
    return list(dict.fromkeys(text for severity, text in logger.lines if severity == "WARNING"))
