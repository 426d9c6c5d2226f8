"""A sign of life for runs whose steps are far apart."""

import threading
from contextlib import suppress

from weightsmith.errors import StoreError
from weightsmith.store import RunWriter

INTERVAL = 20.0
"""Seconds between signs of life; the store counts a run as lost after three times as long."""


class Heartbeat:
    """Says from a thread of its own that a run is alive, while the training thread has nothing to write.

    Args:
        writer: the run's writer.
        interval: seconds between signs of life.
    """

    def __init__(self, writer: RunWriter, interval: float = INTERVAL) -> None:
        self._writer = writer
        self._interval = interval
        self._wrote = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="weightsmith-heartbeat", daemon=True)
        self._thread.start()

    def wrote(self) -> None:
        """Something was written, which is a sign of life as well: the next beat can be left out."""
        self._wrote.set()

    def stop(self) -> None:
        """End the thread; returns when it can no longer touch the store."""
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._ended.wait(self._interval):
            if self._wrote.is_set():
                self._wrote.clear()
                continue
            with suppress(StoreError):  # the next write reports it, where it can be acted upon
                self._writer.heartbeat()
