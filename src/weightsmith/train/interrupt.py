"""Ctrl-C and SIGTERM: finish the current step, save, and say how to resume; the second time, stop at once."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)

ECHO = 1.0
"""Seconds after the first signal in which another is taken for the same one: at Ctrl-C the terminal signals every
process, and `torchrun` passes on its own."""


class Interrupt:
    """Context in which the first SIGINT or SIGTERM only sets `requested`; a later one raises KeyboardInterrupt.

    Outside the main thread, where Python allows no handlers, it does nothing and `requested` stays None.

    Attributes:
        requested: name of the signal that asked to stop, or None.
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._since = 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            # None: the handler was not installed from Python, and cannot be put back from it
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is None:
            self.requested, self._since = signal.Signals(number).name, time.monotonic()
        elif time.monotonic() - self._since >= ECHO:
            raise KeyboardInterrupt
