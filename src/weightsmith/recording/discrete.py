"""What weights of few values or many zeros do while they train: flips, oscillation, stuck latents, masks.

Found by the attribute `kind` of their parametrizations (`binary`, `ternary`, `sparse`); others cost nothing here.
"""

from dataclasses import dataclass, field
from math import log

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvTransposeNd

from weightsmith.kernels.flips import flip_statistics
from weightsmith.recording.watched import Watched

MEMORY = 1 / 16
"""Weight of the newest measured step in the running frequency of flips back."""

OFTEN = 0.1
"""Frequency of flips back from which on a weight counts as oscillating: two of them within eight measured steps."""

BOUND = 1.0
"""Magnitude at which latent weights are held, so that their gradient still passes (Courbariaux et al. 2015)."""


_COMPILED = {torch.float32, torch.float16, torch.bfloat16}


@dataclass(frozen=True)
class Look:
    """Series of one weight at one step.

    Attributes:
        names: of the series.
        numbers: float64[len(names)], where the weight lives.
    """

    names: tuple[str, ...]
    numbers: Tensor


def kinds_of(watched: Watched) -> frozenset[str]:
    """The kinds of a weight other than continuous, by its parametrizations."""
    steps = () if watched.parametrization is None else watched.parametrization.children()
    return frozenset(str(step.kind) for step in steps if hasattr(step, "kind")) & {"binary", "ternary", "sparse"}


def latent_of(watched: Watched) -> Tensor | None:
    """The continuous tensor behind a binary or ternary weight, detached; None for any other weight."""
    originals = watched.originals()
    if not kinds_of(watched) & {"binary", "ternary"} or len(originals) != 1:
        return None
    return originals[0].detach()


@dataclass
class Signs:
    """Flips of a binary or ternary weight: of the values that the model uses, not of the latent ones alone.

    Oscillation follows Nagel et al. (2022), "Overcoming Oscillations in Quantization-Aware Training": the running mean
    of steps in which a weight flips that had flipped before. Steps that are not measured are not seen, so the mean is
    over a sample of them.

    The value of a binary weight follows from the sign of its latent weight, 0 being positive. Where that is all and the
    host holds it, a compiled kernel compares the latent weights; else the values are computed before and after.
    """

    watched: Watched
    _before: Tensor | None = field(default=None, repr=False)
    _memory: "_Memory | None" = field(default=None, repr=False)

    def before(self) -> None:
        """Note the signs before a step."""
        known = self._memory
        latent = self._rows(latent_of(self.watched))
        if latent is None:
            self._before = self._signs(self.watched.value())
            if known is None or not known.fits(self._before):
                self._memory = _Memory(self._before)
        elif known is None or not known.fits(latent):
            self._memory = _Memory((latent >= 0).view(torch.int8))

    def after(self, value: Tensor, latent_before: Tensor | None) -> Look:
        """Compare the signs of `value`, the weight after the step, with those before it.

        Args:
            value: the weight as the model uses it, after the step.
            latent_before: its latent weight before the step, where that is one tensor.
        """
        memory, latent = self._memory, latent_of(self.watched)
        assert memory is not None
        rows, rows_before = self._rows(latent), self._rows(latent_before)
        if rows is not None and rows_before is not None and memory.fits(rows):
            return _compiled(memory, rows, rows_before)
        shares = memory.compare(self._before, self._signs(value))
        self._before = None
        if latent is not None and latent_before is not None and latent_before.shape == latent.shape:
            high, low = torch.minimum(latent_before, latent) >= BOUND, torch.maximum(latent_before, latent) <= -BOUND
            shares["stuck"] = _share(high | low)
        by_row = row_entropy(_channels(self.watched, memory.last))
        shares |= {"sign_entropy": row_entropy(memory.last.reshape(1, -1))[0]}
        return _look(shares | {"sign_entropy_least": by_row.min(), "sign_entropy_mean": by_row.mean()})

    def _signs(self, value: Tensor) -> Tensor:
        """-1, 0 and +1 as int8; 0 for NaN."""
        return (value > 0).view(torch.int8) - (value < 0).view(torch.int8)

    def _rows(self, latent: Tensor | None) -> Tensor | None:
        """The latent weight as float32, a row for each output channel, where it is all that matters and on the host."""
        plain = kinds_of(self.watched) == {"binary"} and not isinstance(self.watched.owner, _ConvTransposeNd)
        if latent is None or not plain or not latent.is_cpu or latent.dtype not in _COMPILED or not latent.dim():
            return None
        return latent.float().reshape(len(latent), -1).contiguous()


class _Memory:
    """What is remembered of each value of a weight: its last sign, whether it ever moved, how often it flips back."""

    def __init__(self, signs: Tensor) -> None:
        self.last = signs
        self.moved = torch.zeros_like(signs, dtype=torch.bool)
        self.frequency = torch.zeros(signs.shape, device=signs.device)

    def fits(self, tensor: Tensor) -> bool:
        return self.last.shape == tensor.shape and self.last.device == tensor.device

    def compare(self, before: Tensor | None, now: Tensor) -> dict[str, Tensor]:
        assert before is not None
        flipped = now != before
        self.moved |= before != self.last  # unseen, in steps that were not measured
        self.frequency.lerp_((flipped & self.moved).to(self.frequency.dtype), MEMORY)
        self.moved |= flipped
        self.last = now
        often = _share(self.frequency > OFTEN)
        return {"flip_rate": _share(flipped), "oscillating": often, "unflipped": 1 - _share(self.moved)}


def _compiled(memory: _Memory, latent: Tensor, before: Tensor) -> Look:
    arrays = [one.numpy() for one in (latent, before, memory.last, memory.moved, memory.frequency)]
    found = flip_statistics(*arrays, memory=MEMORY, often=OFTEN, bound=BOUND)
    size, rows = max(latent.numel(), 1), max(latent.shape[1], 1)
    by_row = _binary_entropy(torch.from_numpy(found.positive) / rows)
    shares = {
        "flip_rate": found.flips / size,
        "oscillating": found.often / size,
        "unflipped": 1 - found.moved / size,
        "stuck": found.stuck / size,
        "sign_entropy": _binary_entropy(torch.tensor(found.positive.sum() / size)),
        "sign_entropy_least": by_row.min(),
        "sign_entropy_mean": by_row.mean(),
    }
    return _look({name: torch.as_tensor(share, dtype=torch.float64) for name, share in shares.items()})


@dataclass
class Masks:
    """How the zeros of a sparse weight move: against those of the last look, and of the first."""

    watched: Watched
    _first: Tensor | None = field(default=None, repr=False)
    _last: Tensor | None = field(default=None, repr=False)

    def after(self, value: Tensor) -> Look:
        """Compare the mask, or the places of `value` that are not zero where there is none, with earlier ones."""
        mask = self._mask(value)
        if self._first is None or self._last is None or self._last.shape != mask.shape:
            self._first = self._last = mask.clone()
        elif self._last.device != mask.device:
            self._first, self._last = self._first.to(mask.device), self._last.to(mask.device)
        shares = {
            "mask_churn": _share(mask != self._last),
            "mask_overlap": _jaccard(mask, self._last),
            "mask_overlap_first": _jaccard(mask, self._first),
        }
        self._last = mask.clone()
        return _look(shares)

    def _mask(self, value: Tensor) -> Tensor:
        assert self.watched.parametrization is not None
        # A connection that a dynamic method grew starts at zero, so the mask knows better than the value.
        for step in self.watched.parametrization.children():
            mask = getattr(step, "mask", None)
            if isinstance(mask, Tensor) and mask.dtype is torch.bool and mask.shape == value.shape:
                return mask.detach()
        return value != 0


def row_entropy(signs: Tensor) -> Tensor:
    """Bits that the values -1, 0 and +1 of each row hold on average: float64[rows] of int8[rows, n]."""
    count = max(signs.shape[1], 1)
    total, used = signs.sum(1, dtype=torch.int32), signs.abs().sum(1, dtype=torch.int32)
    plus, minus = (used + total).double() / (2 * count), (used - total).double() / (2 * count)
    return _bits(torch.stack([plus, minus, 1 - plus - minus]).clamp_(0, 1))


def _binary_entropy(share: Tensor) -> Tensor:
    return _bits(torch.stack([share, 1 - share]).double())


def _bits(shares: Tensor) -> Tensor:
    bits: Tensor = torch.special.entr(shares).sum(0) / log(2.0)
    return bits


def _channels(watched: Watched, weight: Tensor) -> Tensor:
    """A matrix with one row for each output channel."""
    owner = watched.owner
    if isinstance(owner, _ConvTransposeNd):  # (inputs, outputs / groups, ...)
        return torch.unflatten(weight, 0, (owner.groups, -1)).transpose(1, 2).flatten(0, 1).flatten(1)
    return weight.flatten(1)


def _share(which: Tensor) -> Tensor:
    return torch.count_nonzero(which).double() / max(which.numel(), 1)


def _jaccard(one: Tensor, other: Tensor) -> Tensor:
    """Size of the intersection over that of the union; 1 for two empty masks."""
    both, either = torch.count_nonzero(one & other).double(), torch.count_nonzero(one | other).double()
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both))


def _look(shares: dict[str, Tensor]) -> Look:
    return Look(tuple(shares), torch.stack([share.double() for share in shares.values()]))
