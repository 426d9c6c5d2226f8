"""Ctrl-C before there is anything to clean up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Have Ctrl-C end the process without a word, as modules are imported.

    An exception there shows up as a traceback, or as an error of the library that was being imported.
    """
    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if raises:  # otherwise it is ignored, or somebody else's to handle
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if raises:
            signal.signal(signal.SIGINT, signal.default_int_handler)
