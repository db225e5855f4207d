"""stdout and stderr that accept any text in whatever encoding they have, and report when a write fails."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from edgekit.frames.terminal import spelled_out

_SPELLED = {
    "→": "->", "×": "x", "…": "...", "·": "*", "−": "-", "–": "-", "—": "-", "°": " degrees", "Σ": "sum", "½": "1/2",
    "≤": "<=", "≥": ">=", "√": "sqrt ", "²": "^2", "µ": "u", "±": "+-", "⌈": "", "⌉": "", "‘": "'", "’": "'", "“": '"',
    "”": '"',
}  # fmt: skip


class Unprinted(BaseException):
    """stdout cannot be written: a full disk, or a closed pipe. A BaseException, so that no command catches it."""

    def __init__(self, error: OSError):
        super().__init__(str(error))
        self.error = error


class Printed:
    """A text stream in front of ``stream``: what that cannot encode is spelled out (``≥`` as ``>=``, else ``\\u5c4b``),
    and so are the terminal's control characters (``ESC`` as ``\\x1b``): names that are printed may come from anyone.

    ``styled`` is the same stream for rich, which writes control characters of its own and spells out those of its text.

    After a write fails nothing more is written; where ``essential``, Unprinted is raised.
    It has no ``buffer``: click would write UTF-8 into that where the encoding is ASCII.
    """

    def __init__(self, stream: TextIO, *, essential: bool):
        self._stream, self._essential, self._ended = stream, essential, False

    @property
    def styled(self) -> TextIO:
        return _Styled(self)  # type: ignore[return-value]

    @property
    def encoding(self) -> str:
        return self._stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"a text stream takes text, this is {type(text).__name__}")
        self.write_styled(spelled_out(text))
        return len(text)

    def write_styled(self, text: str) -> None:
        if not self._ended:
            with self._watched():
                self._stream.write(text.encode(self.encoding, "edgekit.spelled").decode(self.encoding))

    def flush(self) -> None:
        if not self._ended:
            with self._watched():
                self._stream.flush()

    def close(self) -> None:
        """Nothing, for what keeps the stream and closes it as Python ends: the one behind it is the process's."""

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._ended = True
            self._drop()
            if self._essential:
                raise Unprinted(error) from error

    def _drop(self) -> None:
        """Discard what is left in the stream's buffer, which Python would try to write again when it ends."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


class _Styled:
    """A Printed that lets control characters pass."""

    def __init__(self, printed: Printed):
        self._printed = printed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._printed, name)

    def write(self, text: str) -> int:
        self._printed.write_styled(text)
        return len(text)


@contextmanager
def printing() -> Iterator[None]:
    """`sys.stdout` and `sys.stderr` as Printed. What is written to a closed one is discarded.

    The number of a closed stream is free: the next file opened would get it, and with it all that a library prints.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one
    out, err = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        sys.stdout = Printed(out or nowhere, essential=True)  # type: ignore[assignment]
        sys.stderr = Printed(err or nowhere, essential=False)  # type: ignore[assignment]
        try:
            yield
        finally:
            sys.stdout, sys.stderr = out, err


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = []
    for letter in error.object[error.start : error.end]:
        plain.append(_SPELLED.get(letter, letter.encode("ascii", "backslashreplace").decode()))
    return "".join(plain), error.end


codecs.register_error("edgekit.spelled", _spell)
