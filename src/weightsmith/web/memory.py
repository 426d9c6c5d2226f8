"""What was computed, kept within a bound of bytes, and what is made once for all who ask for it at the same time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")


class Memory:
    """Results by key, for many threads at once.

    Args:
        limit: most bytes that all results may take together; a larger one is handed out and not kept.
        last: whether the result that was used last is kept however large it is, until another one is wanted.
    """

    def __init__(self, limit: int, *, last: bool = False) -> None:
        self.limit = limit
        self._least = int(last)
        self.held = 0
        self._results: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable) -> Any:
        """The result, marked as used; None where it is not there."""
        with self._lock:
            if key not in self._results:
                return None
            self._results.move_to_end(key)
            return self._results[key][0]

    def put(self, key: Hashable, result: Any, size: int) -> None:
        """Keep a result of `size` bytes."""
        with self._lock:
            self.held -= self._results.pop(key, (None, 0))[1]
            if size > self.limit and not self._least:
                return
            self._results[key] = result, size
            self.held += size
            while self.held > self.limit and len(self._results) > self._least:
                self.held -= self._results.popitem(last=False)[1][1]

    def result(self, key: Hashable, make: Callable[[], Result], size: Callable[[Result], int]) -> Result:
        """The result, made by the first who asks while all others who want the same one wait for it.

        Raises:
            Exception: whatever `make` raises; nothing is kept then, and the next who asks tries again.
        """
        found = self.get(key)
        if found is None:
            with self._lock:
                making = self._making.setdefault(key, threading.Lock())
            with making:
                found = self.get(key)
                if found is None:
                    try:
                        found = make()
                        self.put(key, found, size(found))
                    finally:
                        with self._lock:
                            self._making.pop(key, None)
        result: Result = found
        return result


class Turns:
    """Makes a result once for all who asked before that was begun, so that none is older than its question.

    Many pages that follow a run ask for the same at the same moment, and what is true of it changes with every write.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, _Turn] = {}

    def result(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """A result that was begun after this call; nothing is kept once nobody waits.

        Raises:
            Exception: whatever `make` raises, for who made it; the next who waits tries again.
        """
        asked = time.perf_counter()
        with self._lock:
            turn = self._waiting.setdefault(key, _Turn())
            turn.waiting += 1
        try:
            with turn.lock:
                if turn.begun < asked:
                    begun = time.perf_counter()
                    turn.result = make()
                    turn.begun = begun
                result: Result = turn.result
            return result
        finally:
            with self._lock:
                turn.waiting -= 1
                if not turn.waiting:
                    del self._waiting[key]


@dataclass
class _Turn:
    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0
    begun: float = -1.0
    result: Any = None
