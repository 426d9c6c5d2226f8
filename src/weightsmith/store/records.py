"""The small records that go into a store and come out of it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np

    from weightsmith.sketch import Sketch

Status = Literal["running", "completed", "failed", "interrupted", "lost"]
"""`lost`: it says that it is running, but its heartbeat stopped or its process on this machine is gone."""

STATUSES: tuple[Status, ...] = get_args(Status)

Quantity = Literal["weight", "gradient", "latent"]
"""`latent`: what a binary or ternary weight is computed from."""

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True)
class Series:
    """Numbers over steps, in the order in which they were written.

    Attributes:
        steps: int64[n], counts of optimizer steps.
        values: float64[n].
    """

    steps: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]"

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class SketchRecord:
    """The sketch of a weight, of its gradient or of its latent values at one step."""

    weight: str
    quantity: Quantity
    step: int
    sketch: "Sketch"


@dataclass(frozen=True)
class Event:
    """Something that happened at a step: a verdict, a checkpoint. `payload` holds plain JSON values."""

    step: int
    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """All weights at one step, in a safetensors file.

    Attributes:
        step: the step after which it was taken.
        label: why it was taken (`snapshot`, `best`, `final`).
        path: the file.
        bytes: its size when it was written.
    """

    step: int
    label: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class RunSummary:
    """A run as a list shows it. Times are aware datetimes in UTC.

    Attributes:
        id: sorts by time of creation, to the second.
        name: what its user calls it; need not be unique.
        status: as of the moment it was read.
        created: when it began.
        updated: when it last wrote or gave a sign of life.
        finished: when it ended, or None.
        summary: its outcome, as `RunWriter.set_summary` collected it.
        error: one line on why it failed or was interrupted, or None.
        tags: words to find it by.
        note: what its user wrote about it, or None.
    """

    id: str
    name: str | None
    status: Status
    created: datetime
    updated: datetime
    finished: datetime | None
    summary: dict[str, Any]
    error: str | None
    tags: tuple[str, ...]
    note: str | None
