"""From measurements to the series, sketches and events of a run."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.recording.buffer import Buffer
from weightsmith.recording.device import Copy, Deferred, joined
from weightsmith.recording.discrete import Look
from weightsmith.recording.measure import Numbers, WeightStep, locate_non_finite, sketch_of
from weightsmith.recording.watched import Watched
from weightsmith.sketch import Sketch
from weightsmith.store.records import Event, Quantity, SketchRecord


class Reporter:
    """Puts what was measured into a buffer, what is still on an accelerator as soon as it has arrived.

    Args:
        buffer: where everything goes.
        deferred: what waits on an accelerator.

    Attributes:
        zeros: share of exact zeros of each weight, by its latest sketch.
        alarmed: set when a loss turns out not to be finite; the recorder then looks for the weight at fault.
    """

    def __init__(self, buffer: Buffer, deferred: Deferred) -> None:
        self.zeros: dict[str, float] = {}
        self.alarmed = False
        self._buffer = buffer
        self._deferred = deferred
        self._copies: list[tuple[Watched, Quantity, int, bool, list[Sketch | Copy]]] = []
        self._reported: set[tuple[str, str | None]] = set()

    def value(self, name: str, step: int, value: object, weight: str | None = None) -> None:
        """One value of a series; a tensor on an accelerator is read later and may change meanwhile.

        Raises:
            InputError: it is not a single number.
        """
        if isinstance(value, Tensor) and not value.is_cpu:
            if value.numel() != 1:
                raise InputError(f"'{name}' is a tensor of shape {list(value.shape)}: give a single number")
            self._deferred.add_number(value, partial(self._arrived, name, step, weight))
            return
        try:
            number = float(value.item() if isinstance(value, Tensor) else value)  # type: ignore[arg-type]
            self._number(name, step, weight, number)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise InputError(f"'{name}' is {type(value).__name__} {value!s:.60}: give a single number") from error

    def weight_steps(self, step: int, taken: Sequence[WeightStep]) -> None:
        """What one step did to weights, and the norm of all their gradients together."""
        for one in taken:
            for look in one.discrete:
                self._look(step, one.watched.name, look)
        parts = [part for one in taken for part in (one.numbers, one.gradient, one.effective) if part is not None]
        away = [part for part in parts if isinstance(part, Tensor)]
        if not away:
            self._absorb(step, taken)
            return

        def receive(values: list[float]) -> None:
            arrived = iter(values)

            def here(part: Any) -> Any:
                return tuple(islice(arrived, len(part))) if isinstance(part, Tensor) else part

            self._absorb(
                step,
                [
                    replace(one, numbers=here(one.numbers), gradient=here(one.gradient), effective=here(one.effective))
                    for one in taken
                ],
            )

        self._deferred.add(joined(away), receive)

    def sketch(
        self, step: int, watched: Watched, quantity: Quantity, parts: list[Sketch | Copy], state: bool = False
    ) -> None:
        """A sketch, given as parts to merge; with `state` also the norm, zeros and non-finite values it shows."""
        if any(isinstance(part, Copy) for part in parts):
            self._copies.append((watched, quantity, step, state, parts))
        elif parts:
            self._sketched(step, watched, quantity, [part for part in parts if isinstance(part, Sketch)], state)

    def sketch_arrived(self, wait: bool = False) -> None:
        """Sketch the copies that have arrived, or with `wait` all that are under way."""
        copies, self._copies = self._copies, []
        for copy in copies:
            watched, quantity, step, state, parts = copy
            if wait or all(part.arrived for part in parts if isinstance(part, Copy)):
                self._sketched(step, watched, quantity, [sketch_of(part) for part in parts], state)
            else:
                self._copies.append(copy)

    def non_finite(
        self, step: int, quantity: str, watched: Watched | None = None, index: int | None = None, count: int = 1
    ) -> None:
        """An event for the first non-finite loss, and for the first in each weight and each gradient."""
        key = (quantity, watched.name if watched else None)
        if key in self._reported:
            return
        self._reported.add(key)
        payload: dict[str, Any] = {"quantity": quantity, "weight": key[1], "index": index, "count": count}
        if watched is not None and index is not None and index < watched.info.size:
            payload["position"] = [int(at) for at in np.unravel_index(index, watched.info.shape)]
        self._buffer.events.append(Event(step, "non_finite", payload))

    def bad_loss(self, step: int) -> None:
        """The loss of a step is not finite."""
        self.alarmed = self.alarmed or ("loss", None) not in self._reported
        self.non_finite(step, "loss")

    def _look(self, step: int, weight: str, look: Look) -> None:
        def receive(values: Sequence[float]) -> None:
            for name, value in zip(look.names, values, strict=True):
                self._buffer.add(name, weight, step, value)

        if look.numbers.is_cpu:
            receive(look.numbers.tolist())
        else:
            self._deferred.add(look.numbers, receive)

    def _arrived(self, name: str, step: int, weight: str | None, values: list[float]) -> None:
        self._number(name, step, weight, values[0])

    def _number(self, name: str, step: int, weight: str | None, number: float) -> None:
        self._buffer.add(name, weight, step, number)
        if number - number != 0.0 and name == "loss":
            self.bad_loss(step)

    def _sketched(self, step: int, watched: Watched, quantity: Quantity, parts: Sequence[Sketch], state: bool) -> None:
        sketch = parts[0]
        for part in parts[1:]:
            sketch = sketch.merge(part)
        name = watched.name
        self._buffer.sketches.append(SketchRecord(name, quantity, step, sketch))
        if quantity == "weight":
            self.zeros[name] = sketch.sparsity
        if state:
            self._buffer.add("norm", name, step, sketch.norm)
            self._buffer.add("zeros", name, step, sketch.sparsity)
            self._buffer.add("non_finite", name, step, sketch.non_finite)
        if sketch.non_finite:
            # Merged gradients of several tensors have no places of their own.
            index = sketch.first_non_finite if len(parts) == 1 else None
            self.non_finite(step, quantity, watched, index, sketch.non_finite)

    def _absorb(self, step: int, taken: Sequence[WeightStep]) -> None:
        gradients = [_floats(one.gradient)[0] for one in taken if one.gradient is not None]
        if gradients:
            self._buffer.add("gradient_norm", None, step, math.sqrt(sum(gradients)))
        for one in taken:
            self._absorb_weight(step, one)

    def _absorb_weight(self, step: int, taken: WeightStep) -> None:
        add, watched, name = self._buffer.add, taken.watched, taken.watched.name
        square, update, previous, flips, zeros, non_finite = _floats(taken.numbers)
        size = taken.size
        if previous > 0.0:
            add("update_ratio", name, step, math.sqrt(update / previous))
        add("sign_flips", name, step, flips / size)
        if taken.effective is not None:
            square, zeros, non_finite = _floats(taken.effective)
            size = watched.info.size
        add("norm", name, step, math.sqrt(square))
        add("zeros", name, step, zeros / size)
        add("non_finite", name, step, non_finite)
        if non_finite and ("weight", name) not in self._reported:
            self.non_finite(step, "weight", watched, locate_non_finite(watched.value()), int(non_finite))
        if taken.gradient is not None:
            gradient, bad = _floats(taken.gradient)
            add("gradient_norm", name, step, math.sqrt(gradient))
            add("gradient_non_finite", name, step, bad)
            if bad:
                self.non_finite(step, "gradient", watched, taken.gradient_index, int(bad))


def _floats(numbers: Numbers) -> tuple[float, ...]:
    """Numbers that have arrived."""
    assert not isinstance(numbers, Tensor)
    return numbers
