"""What packing a model brought: parity, bytes and latency against the model in dense float32 and bfloat16."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.packed.layer import Layer
from weightsmith.kinds.packed.measure import in_turns, observe

BATCHES = (1, 8, 64, 256)
"""Rows at once at which latency is measured, unless others are asked for."""

_ROWS = 1024
"""Test rows that are compared in one go."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Timing:
    """What one call takes on this machine, on the same rows in turns.

    Attributes:
        batch: rows at once.
        seconds: median, by `float32` and `bfloat16` (both dense) and `packed`; without what torch cannot run.
    """

    batch: int
    seconds: Mapping[str, float]

    def speedup(self, over: str = "float32") -> float | None:
        """How many times faster the packed one is."""
        dense = self.seconds.get(over)
        return dense / self.seconds["packed"] if dense else None


@dataclass(frozen=True)
class LayerReport:
    """One packed layer beside the dense one that it stands for.

    Attributes:
        weight: name of its weight.
        layer: class of the packed layer: `BinaryLinear`, `XnorConv2d`, ...
        format: that the weight is packed in.
        shape: of the weight.
        dense: bytes of the weight as float32.
        resident: bytes of it in memory now.
        timings: one for each batch.
    """

    weight: str
    layer: str
    format: str
    shape: tuple[int, ...]
    dense: int
    resident: int
    timings: tuple[Timing, ...]


@dataclass(frozen=True)
class Parity:
    """How far apart the outputs of the packed and the trained model are.

    Attributes:
        rows: that both were given.
        difference: the largest between two outputs.
        largest: the largest output of the trained model by magnitude, to compare with.
        exact: whether all outputs are the same to the last bit.
        changed: rows of which another output is the largest, or a lone output has another sign.
    """

    rows: int
    difference: float
    largest: float
    exact: bool
    changed: int


@dataclass(frozen=True)
class PackReport:
    """All that was measured.

    Attributes:
        parity: of the outputs.
        layers: those that are packed, in the model's order.
        whole: timings of the whole model.
        disk: bytes by `float32`, `bfloat16` (both weights alone) and `packed` (the file, header and all).
        resident: bytes of weights and buffers in memory, by the same names.
        threads: that torch used.
        scores: of a measure of quality, by `trained` and `packed`; empty where none was given.
        metric: its name.
        notes: what else there is to say.
    """

    parity: Parity
    layers: tuple[LayerReport, ...]
    whole: tuple[Timing, ...]
    disk: Mapping[str, int]
    resident: Mapping[str, int]
    threads: int
    scores: Mapping[str, float] = field(default_factory=dict)
    metric: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return asdict(self)


def measure_packed(
    model: nn.Module,
    packed: nn.Module,
    rows: Tensor,
    *,
    file_bytes: int,
    score: Callable[[nn.Module], float] | None = None,
    metric: str = "",
    batches: Sequence[int] = BATCHES,
    progress: Progress | None = None,
) -> PackReport:
    """Measure a packed model against the one that it was packed from, on this machine, now.

    Args:
        model: the trained model with dense weights; in evaluation mode it is what accuracy and parity refer to.
        packed: what `pack` made of it.
        rows: inputs to compare outputs on, at least one; for larger batches than there are rows they are repeated.
        file_bytes: of the packed file.
        score: measures the quality of a model, such as its accuracy on the test rows.
        metric: its name.
        batches: rows at once to time.
        progress: is called with the steps done, all steps, and what follows.

    Raises:
        InputError: no rows, a batch of none, or rows on another device than the CPU.
    """
    if not len(rows) or min(batches, default=1) < 1:
        raise InputError("a packed model is measured on one row at least, in batches of one row at least")
    if not rows.is_cpu:
        raise InputError(f"packed models are fast on the CPU and measured there, not on {rows.device}: move all there")
    model, packed = model.eval(), packed.eval()
    paths = [name for name, module in packed.named_modules() if isinstance(module, Layer)]
    steps = _Steps(progress, 2 + len(batches) * (len(paths) + 1))
    steps.next("accuracy" if score else "parity")
    scores = {} if score is None else {"trained": score(model), "packed": score(packed)}
    steps.next("parity")
    parity = compare(model, packed, rows)
    timings: dict[str, list[Timing]] = {path: [] for path in ("", *paths)}
    notes: set[str] = set()
    for batch in batches:
        given = rows[torch.arange(batch) % len(rows)]
        for path, timing in _timings(model, packed, given, paths, steps):
            timings[path].append(timing)
            if "bfloat16" not in timing.seconds:
                notes.add(f"{path or 'the whole model'} does not run in bfloat16 on this machine")
    return PackReport(
        parity,
        tuple(_layer(model, packed, path, timings[path]) for path in paths),
        tuple(timings[""]),
        {"float32": _state_bytes(model, 4), "bfloat16": _state_bytes(model, 2), "packed": file_bytes},
        {"float32": _held(model, 4), "bfloat16": _held(model, 2), "packed": _held(packed, None)},
        torch.get_num_threads(),
        scores,
        metric,
        tuple(sorted(notes)),
    )


class _Steps:
    """Counts what is done for a progress bar."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def next(self, following: str) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, following)
        self._done += 1


def compare(model: nn.Module, packed: nn.Module, rows: Tensor) -> Parity:
    """How far apart the outputs of two models are.

    Args:
        model: the trained one.
        packed: the packed one.
        rows: inputs of both.
    """
    difference, largest, changed, exact = 0.0, 0.0, 0, True
    with torch.no_grad():
        for part in torch.split(rows, _ROWS):
            one, other = model(part).float(), packed(part).float()
            same = (one == other) | (one.isnan() & other.isnan())
            exact = exact and bool(same.all())
            gap = torch.where(same, 0.0, (one - other).abs())
            difference = max(difference, float(gap.nan_to_num(nan=float("inf")).max()))
            largest = max(largest, float(one.abs().nan_to_num().max()))
            changed += int((_decision(one) != _decision(other)).sum())
    return Parity(len(rows), difference, largest, exact, changed)


def _decision(outputs: Tensor) -> Tensor:
    flat = outputs.reshape(len(outputs), -1)
    return flat.argmax(1) if flat.shape[1] > 1 else (flat > 0).reshape(-1)


def _timings(
    model: nn.Module, packed: nn.Module, rows: Tensor, paths: Sequence[str], steps: _Steps
) -> list[tuple[str, Timing]]:
    """Of each packed layer and, under the empty path, of the whole model."""
    steps.next(f"whole model, batch {len(rows)}")
    found = [("", Timing(len(rows), _time(model, rows, packed, rows)))]
    dense = {path: model.get_submodule(path) for path in paths}
    fast = {path: packed.get_submodule(path) for path in paths}
    into_dense = observe(model, rows, {id(module) for module in dense.values()})
    into_fast = observe(packed, rows, {id(module) for module in fast.values()})
    for path in paths:
        steps.next(f"{path}, batch {len(rows)}")
        one, other = into_dense.get(id(dense[path])), into_fast.get(id(fast[path]))
        if one is not None and other is not None:
            found.append((path, Timing(len(rows), _time(dense[path], one, fast[path], other))))
    return found


def _time(dense: nn.Module, into_dense: Tensor, packed: nn.Module, into_packed: Tensor) -> dict[str, float]:
    calls: dict[str, Callable[[], object]] = {
        "float32": lambda: dense(into_dense),
        "packed": lambda: packed(into_packed),
    }
    short, halves = copy.deepcopy(dense).bfloat16(), into_dense.bfloat16()
    try:
        with torch.no_grad():
            short(halves)
        calls["bfloat16"] = lambda: short(halves)
    except RuntimeError:  # torch has no such kernel for the processor, or the model mixes types
        pass
    return in_turns(calls)


def _layer(model: nn.Module, packed: nn.Module, path: str, timings: Sequence[Timing]) -> LayerReport:
    layer, dense = packed.get_submodule(path), model.get_submodule(path).weight
    assert isinstance(layer, Layer)
    assert isinstance(dense, Tensor)
    return LayerReport(
        f"{path}.weight" if path else "weight",
        type(layer).__name__,
        layer.weight.layout.format,
        tuple(dense.shape),
        4 * dense.numel(),
        layer.weight.nbytes,
        tuple(timings),
    )


def _state_bytes(model: nn.Module, size: int) -> int:
    """Bytes of a state_dict, each tensor once, whose floats take so many bytes."""
    return _sum({id(tensor): tensor for tensor in model.state_dict(keep_vars=True).values()}, size)


def _held(model: nn.Module, size: int | None) -> int:
    """Bytes of all parameters and buffers, each once; None: as they are."""
    return _sum({id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}, size)


def _sum(tensors: Mapping[int, Tensor], size: int | None) -> int:
    return sum(
        tensor.numel() * (size if size and tensor.is_floating_point() else tensor.element_size())
        for tensor in tensors.values()
        if isinstance(tensor, Tensor)
    )
