"""stdout and stderr that take any text, in whatever encoding they have, and say when they can take no more."""

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
    """stdout takes no more: a full disk, or a reader that has gone. No command is to mistake it for its own error."""

    def __init__(self, error: OSError):
        super().__init__(str(error))
        self.error = error


class Printed:
    """A text stream in front of ``stream``: what that cannot encode is spelled out (``≥`` as ``>=``, else ``\\u5c4b``),
    and so is what would command the terminal (``ESC`` as ``\\x1b``): names that are printed may come from anyone.

    ``styled`` is the same stream for rich, which has commands of its own and spells out those of its text.

    Once the system refuses a write nothing more is written: silently, or where ``essential`` by raising Unprinted.
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
        """Let what is left in the stream's buffer go nowhere: Python tries to write it again when it ends."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


class _Styled:
    """A Printed that lets commands to the terminal pass."""

    def __init__(self, printed: Printed):
        self._printed = printed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._printed, name)

    def write(self, text: str) -> int:
        self._printed.write_styled(text)
        return len(text)


@contextmanager
def printing() -> Iterator[None]:
    """`sys.stdout` and `sys.stderr` as Printed. A stream that was closed leads nowhere.

    Of a closed one the number is free, too: the next file that is opened would get it, and with it all that a library
    prints there.
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
