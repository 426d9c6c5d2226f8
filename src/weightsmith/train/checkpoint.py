"""Checkpoints of a training: everything that decides its future, on disk, whole or not at all.

Two files in the run's own folder: `last.pt` (weights, optimizer, schedule, kinds, random states, position, meters,
monitor, early stopping) and `best-<step>.pt` (the weights of the best validation loss so far), which `last.pt` names.
Each is written under a temporary name, flushed to the disk and renamed, so a kill at any moment leaves the previous
one intact. Both are read with torch's weights-only loader: nothing in them is executed.
"""

import os
import pickle
import random
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightsmith.errors import SourceError, StoreError

FOLDER = "checkpoints"
"""In the run's own folder."""

LAST = "last.pt"
FORMAT = 1
"""Version of the layout of `last.pt`; a newer one is refused."""

INTERVAL = 3.0
"""Seconds of training after which a checkpoint is due within an epoch; at an epoch's end one is due in any case,
unless ..."""
COST_SHARE = 0.02
"""... the time since the last one is so short that checkpoints would take more than this share of the training."""


class CheckpointClock:
    """Decides when the next checkpoint is due, from what the last one cost.

    Attributes:
        seconds: time spent writing checkpoints so far.
        written: how many there were.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.written = 0
        self._cost = 0.0
        self._since = time.perf_counter()

    def due(self, *, epoch_ended: bool) -> bool:
        """Whether to write one now."""
        passed = time.perf_counter() - self._since
        return passed * COST_SHARE >= self._cost and (epoch_ended or passed >= INTERVAL)

    def wrote(self, started: float) -> None:
        """Count one whose writing began at `started` (`time.perf_counter`)."""
        self._since = time.perf_counter()
        self._cost = self._since - started
        self.seconds += self._cost
        self.written += 1


def save(folder: Path, state: Mapping[str, Any], best: Mapping[str, Any] | None, best_step: int | None) -> None:
    """Write `last.pt`, and `best-<best_step>.pt` where it is not there yet; then remove the best files it replaces.

    Args:
        folder: the run's folder; made where it is missing.
        state: tensors, numbers, strings and containers of them.
        best: the weights of the best epoch, or None where none has ended.
        best_step: the step they belong to.

    Raises:
        StoreError: where the disk is full or the folder cannot be written; the previous checkpoint stays.
    """
    name = None if best is None else f"best-{best_step}.pt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
            leftover.unlink(missing_ok=True)
        if name is not None and not (folder / name).exists():
            _write(folder / name, {"format": FORMAT, "model": dict(best or {})})
        _write(folder / LAST, {"format": FORMAT, **state, "best_file": name})
        for stale in folder.glob("best-*.pt"):
            if stale.name != name:
                stale.unlink()
    except OSError as error:
        raise StoreError(
            f"cannot write a checkpoint to {folder}: {error.strerror}; the previous one is intact"
        ) from None


def load(folder: Path, device: torch.device) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """The state and the best weights that `save` wrote last; None where there is no checkpoint.

    Args:
        folder: the run's folder.
        device: where the best weights go; the state is loaded to the CPU.

    Raises:
        SourceError: a file is damaged, not a checkpoint, or written by a newer version.
    """
    if not (folder / LAST).exists():
        return None
    state = _read(folder / LAST, torch.device("cpu"))
    best = _read(folder / state["best_file"], device)["model"] if state["best_file"] else None
    return state, best


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files of other origin, which are refused below
            content = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise SourceError(f"{path} is not a readable checkpoint ({reason}): delete it to start over") from None
    if not isinstance(content, dict) or "format" not in content:
        raise SourceError(f"{path} is not a checkpoint of a training: delete it to start over")
    if content["format"] > FORMAT:
        raise SourceError(f"{path} was written by a newer version (format {content['format']}): upgrade weightsmith")
    return content


def random_state() -> dict[str, Any]:
    """State of every global random generator of this process: torch (and its accelerator), NumPy and Python."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - a user's model may draw from it
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, gauss],
        "python": list(random.getstate()[1]),
        "gauss": random.getstate()[2],
    }
    if _gpu_in_use():  # asking for the state of one that nobody uses would start it
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Put every global random generator of this process back to what `random_state` read."""
    torch.set_rng_state(state["torch"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002 - as above
    random.setstate((3, tuple(state["python"]), state["gauss"]))
    if "cuda" in state and _gpu_in_use():
        torch.cuda.set_rng_state(state["cuda"])


def _gpu_in_use() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def copy_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a state dict that later training steps do not change."""
    return {name: value.detach().clone() if isinstance(value, Tensor) else value for name, value in weights.items()}


def warn_of_changes(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Warn where a run continues under other package versions than it began with: its result may differ in rounding."""
    changed = [f"{name} {then[name]} -> {now[name]}" for name in then if name in now and then[name] != now[name]]
    if changed:
        message = (
            f"this run began under other versions ({', '.join(changed)}): its result may differ from a run in one go"
        )
        warnings.warn(message, stacklevel=3)
