"""Copies of all weights, and how often to keep one."""

from collections.abc import Sequence

from weightsmith.recording.budget import Spacing
from weightsmith.recording.device import Copy
from weightsmith.recording.watched import Watched
from weightsmith.sources.module import as_numpy
from weightsmith.store import RunWriter

LIMIT_BYTES = 1 << 30
"""Snapshots beyond the first, the last and those asked for stop when this much has been written."""


class SnapshotKeeper:
    """Takes the snapshots of one run.

    Args:
        watched: the weights.
        enabled: whether any are wanted beyond those that are asked for.

    Attributes:
        count: snapshots taken.
        bytes: bytes of weights in them.
        last_step: step of the last one, -1 before the first.
    """

    def __init__(self, watched: Sequence[Watched], enabled: bool) -> None:
        self.enabled = enabled
        self.count = 0
        self.bytes = 0
        self.last_step = -1
        self._watched = watched
        # At every doubling of the step, and every half minute until that is less than a fiftieth of the time so far:
        # some two hundred in a day.
        self._spacing = Spacing(growth=2.0, seconds=30.0, share=1 / 50)

    def wants(self, step: int, time: float) -> bool:
        """Whether one is due at `step`, after `time` seconds of training."""
        return self.enabled and self.bytes < LIMIT_BYTES and self._spacing.wants(step, time)

    def take(self, writer: RunWriter, step: int, label: str, time: float) -> None:
        """Write one.

        Raises:
            StoreError: it could not be written.
            InputError: a label that cannot be part of a file name.
        """
        values = {one.name: one.value() for one in self._watched}
        # All set out before the first is waited for.
        copies = {name: Copy(value) for name, value in values.items() if value.is_cuda}
        tensors = {name: as_numpy(copies[name].read() if name in copies else value) for name, value in values.items()}
        writer.snapshot(step, tensors, label)
        self.count += 1
        self.bytes += sum(array.nbytes for array in tensors.values())
        self.last_step = step
        self._spacing.done(step, time)
