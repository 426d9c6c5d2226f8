"""Wanda: prune a trained model at once, by weight times the size of what it multiplies."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from weightsmith.errors import InputError
from weightsmith.kinds.shares import check_sparsity
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.magnitude import inputs_of_each
from weightsmith.kinds.sparse.method import Clock, Evidence, Sparsifier
from weightsmith.kinds.sparse.patterns import check_groups, keep_in_groups, set_masks
from weightsmith.kinds.sparse.quiet import call, undisturbed


@dataclass(frozen=True)
class Wanda(Sparsifier):
    """Importance is `|weight| * norm(input)` over calibration batches, compared within each output's inputs.

    Sun et al. (2023), "A simple and effective pruning approach for large language models". Inputs are those of the
    model before it is pruned. Training may go on with the masks.

    Attributes:
        sparsity: share of zeros in each output's inputs, of which at least one stays; may be left out where `n` and `m`
            say it.
        n: with `m`: how many of every `m` inputs stay.
        m: see `n`.
    """

    sparsity: float | None = None
    n: int | None = None
    m: int | None = None

    def __post_init__(self) -> None:
        if self.n is not None or self.m is not None:
            check_groups(self.n, self.m)
            if self.sparsity is not None:
                raise InputError("n and m say how sparse: leave sparsity out")
        elif self.sparsity is None:
            raise InputError("method 'wanda' needs the option 'sparsity', or n and m")
        else:
            check_sparsity(self.sparsity)

    def __str__(self) -> str:
        left = f"{self.n} of every {self.m} inputs left" if self.sparsity is None else f"{self.sparsity:.4g} zero"
        return f"{left}, those of least weight times input in each output"

    def refuse(self, site: Site, evidence: Evidence) -> str:
        """Only layers that multiply their input by the weight and add up."""
        fits = isinstance(site.owner, (nn.Linear, _ConvNd)) and site.attribute == "weight"
        return "" if fits else "wanda knows the inputs of linear and convolution layers only"

    def check(self, evidence: Evidence) -> None:
        """Ask for batches."""
        if evidence.samples is None:
            raise InputError("method 'wanda' needs samples=: some batches of inputs")

    def begin(self, sites: Sequence[Site], evidence: Evidence, clock: Clock) -> None:
        """Measure inputs and prune."""
        squares = _input_squares(sites, evidence)
        with torch.no_grad():
            keep = []
            for site in sites:
                if site.name not in squares:
                    raise InputError(f"'{site.name}' took no part in running the samples: exclude it")
                rows = site.as_rows(site.stored.abs().float() * squares[site.name].sqrt())
                inputs = rows.shape[1]
                if self.n is not None and self.m is not None:
                    keep.append(keep_in_groups(rows, self.m, self.n))
                else:
                    left = inputs_of_each(inputs - round((self.sparsity or 0.0) * inputs), 1, inputs)
                    keep.append(keep_in_groups(rows, max(inputs, 1), left))
            set_masks(sites, keep)


def _input_squares(sites: Sequence[Site], evidence: Evidence) -> dict[str, Tensor]:
    """Of each weight, the sum of squares of what it was multiplied by, in its shape."""
    squares: dict[str, Tensor] = {}
    handles = [site.owner.register_forward_pre_hook(partial(_observe, site, squares)) for site in sites]
    try:
        with undisturbed(evidence.model), torch.no_grad():
            evidence.model.eval()
            for sample in evidence.samples or ():
                call(evidence.model, sample)
    finally:
        for handle in handles:
            handle.remove()
    return squares


def _observe(site: Site, squares: dict[str, Tensor], module: nn.Module, arguments: tuple[Any, ...]) -> None:
    inputs = arguments[0].detach().float().square()
    if isinstance(module, nn.Linear):
        found = inputs.flatten(0, -2).sum(0).expand_as(site.stored)
    else:
        # A convolution is linear in its weight, so the slope of the sum of its outputs is what each weight was
        # multiplied by, added up: here squares, whatever the stride, padding and groups.
        probe = torch.zeros_like(site.stored, dtype=torch.float32, requires_grad=True)
        with torch.enable_grad():
            (found,) = torch.autograd.grad(_convolve(module, inputs, probe).sum(), probe)
    squares[site.name] = squares.get(site.name, 0) + found


def _convolve(module: nn.Module, inputs: Tensor, weight: Tensor) -> Tensor:
    assert isinstance(module, _ConvNd)
    if isinstance(module, _ConvTransposeNd):
        convolve = getattr(F, f"conv_transpose{len(module.kernel_size)}d")
        outputs: Tensor = convolve(
            inputs,
            weight,
            None,
            module.stride,
            module.padding,
            module.output_padding,
            module.groups,
            module.dilation,
        )
        return outputs
    result: Tensor = module._conv_forward(inputs, weight, None)
    return result
