"""What a training leaves in the store: through a recorder where there is one, or nothing at all."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from weightsmith.errors import StoreError
from weightsmith.recording import Recorder
from weightsmith.store import Run


class Journal:
    """Passes what the loop has to tell to a recorder, where there is one (on process 0, where the recipe records).

    Args:
        recorder: open, or None.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder

    @property
    def run_id(self) -> str | None:
        """The run's id; None where nothing is recorded."""
        return None if self._recorder is None else self._recorder.run_id

    @property
    def files(self) -> Path | None:
        """The run's own folder; None where nothing is recorded."""
        return None if self._recorder is None else self._recorder.files

    def step(self, loss: float | Tensor) -> None:
        """A step is done."""
        if self._recorder is not None:
            self._recorder.step(loss=loss)

    def log(self, values: dict[str, float]) -> None:
        """Numbers of the step at hand, by the names of their series."""
        if self._recorder is not None:
            self._recorder.log(**values)

    def event(self, kind: str, payload: dict[str, Any]) -> None:
        """Something happened at the step at hand."""
        if self._recorder is not None:
            self._recorder.event(kind, **payload)

    def summarize(self, values: dict[str, Any]) -> None:
        """Merge keys into the run's summary."""
        if self._recorder is not None:
            self._recorder.set_summary(values)

    def read(self) -> Run | None:
        """The run as it stands, all that was told so far on the disk; None where nothing is recorded (any more)."""
        if self._recorder is not None:
            with suppress(StoreError):  # the recorder has said so; a store that is gone must not end the training
                return self._recorder.run
        return None

    @property
    def share(self) -> float:
        """Share of the training time that recording takes."""
        return 0.0 if self._recorder is None else float(self._recorder.cost.share)

    def cost(self) -> dict[str, Any]:
        """What recording cost; empty where nothing is recorded."""
        return {} if self._recorder is None else self._recorder.cost.to_json()
