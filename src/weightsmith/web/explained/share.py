"""How much of the machine torch may take while the page asks it something."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Share:
    """Half of the processors for torch while anybody asks: the page, or the notebook around it, goes on beside it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking = 0
        self._before = 1

    @contextmanager
    def taken(self) -> Iterator[None]:
        """The number of torch's threads halved, until the last of those who ask at the same time is done."""
        import torch

        with self._lock:
            if not self._asking:
                self._before = torch.get_num_threads()
                torch.set_num_threads(max(1, self._before // 2))
            self._asking += 1
        try:
            yield
        finally:
            with self._lock:
                self._asking -= 1
                if not self._asking:
                    torch.set_num_threads(self._before)


SHARE = Share()
"""Of this process: torch has one number of threads for all."""
