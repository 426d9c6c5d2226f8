"""What must hold for any file whatever: it opens and reads, or is refused in one line; nothing else may happen."""

import codecs
import contextlib
import os
import signal
import sys
import tempfile
import threading
import unicodedata  # noqa: F401 - the parser loads it at the first name beyond ASCII
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from weightsmith.errors import InputError
from weightsmith.sources.source import Source, Weight

SECONDS = 5.0
"""Processor time that one case may take."""

LINE = 2000
"""Characters that a message may have beside the file's path."""

SMALL = 1 << 20
"""Elements of a weight that is also read whole; more are read by blocks alone."""

_FORBIDDEN = (
    "os.",
    "subprocess.",
    "socket.",
    "ctypes.",
    "marshal.",
    "pickle.",
    "urllib.",
    "shutil.",
    "code.",
    "exec",
    "import",
)
for _encoding in (
    *("cp437", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"),
    *("latin-1", "ascii", "unicode-escape", "raw-unicode-escape"),
):
    codecs.lookup(_encoding)  # of zip names and JSON; else loaded in the middle of a case

_HARMLESS = ("os.listdir", "os.scandir", "os.fwalk", "os.getxattr", "os.listxattr", "os.walk")
_OWN = ("os.remove", "os.unlink")


class Escape(BaseException):
    """A file made its reader do something other than read."""


class TooSlowError(BaseException):
    """A file took its reader too long."""


class _Guard:
    """An audit hook that is deaf until it is armed, as hooks cannot be taken away again."""

    def __init__(self) -> None:
        self._folder = ""
        self._thread: int | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    @contextmanager
    def armed(self, folder: Path) -> Iterator[None]:
        self._folder, self.seen = os.path.realpath(folder), []
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._thread is None or self._thread != threading.get_ident():
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or self._may_open(os.fspath(path), flags):
                return
        elif event in ("os.scandir", "os.listdir"):
            if self._is_inside(os.fspath(arguments[0])):
                return
        elif (
            event in _HARMLESS
            or not event.startswith(_FORBIDDEN)
            or (event in _OWN and self._is_temporary(os.fspath(arguments[0])))
        ):
            return
        self.seen.append(f"{event} {str(arguments)[:300]}")
        raise Escape(self.seen[-1])

    def _may_open(self, path: str | bytes, flags: int) -> bool:
        shown = os.fsdecode(path)
        if self._is_temporary(shown):
            return True
        return not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and self._is_inside(shown)

    def _is_inside(self, path: str) -> bool:
        if "\0" in path:  # opens nothing
            return True
        thread, self._thread = self._thread, None
        try:
            return os.path.realpath(path).startswith(self._folder)
        finally:
            self._thread = thread

    def _is_temporary(self, path: str) -> bool:
        """The file that a compressed Keras archive is unpacked into, which may have no name."""
        return path == tempfile.gettempdir() or (
            Path(path).parent == Path(tempfile.gettempdir()) and Path(path).suffix == ".h5"
        )


GUARD = _Guard()


def read_all(opener: Callable[[str], Source], path: Path) -> None:
    """Open a file and read all that is in it, with nobody watching: what is loaded for the first time is loaded now."""
    with contextlib.suppress(InputError):
        _read(opener(str(path)))


def judge(opener: Callable[[str], Source], path: Path, *, watched: bool = True) -> str | None:
    """Open a file and read all that is in it.

    Args:
        opener: opens it.
        path: the file or folder.
        watched: listen for what is opened outside the file's folder or run; not under coverage, which the ear disturbs.

    Returns:
        The message that refused it, or None where it was read.

    Raises:
        AssertionError: something is wrong with what was read, or with the message.
        Escape: something was run or opened that has no business there.
        TooSlowError: it took more than `SECONDS` of processor time.
    """
    try:
        with GUARD.armed(path.parent) if watched else contextlib.nullcontext(), _hurried(), warnings.catch_warnings():
            warnings.simplefilter("error")
            _read(opener(str(path)))
        return None
    except InputError as error:
        message = str(error)
        _check_message(message, str(path))
        return message
    finally:
        assert not GUARD.seen, GUARD.seen  # even where the reader swallowed it


def _check_message(message: str, path: str) -> None:
    assert message.isprintable(), f"no single printable line: {message[:500]!r}"
    assert len(message) < LINE + 2 * len(path), f"a line of {len(message)} characters: {message[:500]}"


def _read(source: Source) -> None:
    assert isinstance(source, Source)
    assert repr(source).isprintable(), repr(source)[:500]
    assert source._repr_html_().isprintable()
    for aside in source.aside:
        assert aside.reason.isprintable(), aside.reason[:500]
        assert isinstance(aside.name, str), aside
        assert aside.nbytes >= 0
    assert all(isinstance(key, str) and isinstance(text, str) for key, text in source.metadata.items())
    for name, weight in source.items():
        assert weight.info.to_json()["name"] == name
        assert weight.nbytes >= 0
        assert not weight.shape or 0 <= weight.info.output_axis < len(weight.shape)
        try:
            _read_weight(weight)
        except InputError as error:  # the same must hold for it; the others are still to be read
            _check_message(str(error), source.label)


def _read_weight(weight: Weight) -> None:
    kept: list[bytes] = []
    size = 0
    for block in weight.blocks():
        assert block.ndim == 1
        assert block.size <= 1 << 22
        size += block.size
        if weight.size <= SMALL:
            kept.append(block.tobytes())
    assert size == weight.size, f"{weight.info} has {size} elements"
    if weight.size <= SMALL:
        array = weight.read()
        assert array.shape == weight.shape
        assert not array.flags.writeable
        assert np.ascontiguousarray(array).tobytes() == b"".join(kept)


@contextmanager
def _hurried() -> Iterator[None]:
    """An alarm after so much processor time; wall-clock time depends on who else uses the machine."""

    def ring(_: int, frame: FrameType | None) -> None:
        raise TooSlowError(f"over {SECONDS} s, in {frame.f_code.co_qualname if frame else 'nothing'}")

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
