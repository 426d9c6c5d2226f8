"""Bop, which flips binary weights that have no latent ones, and Adam for all other parameters."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from weightsmith.optim.joint import Algorithm, Joint

_FULL_RATE = "full_lr"
"""Key of a parameter group: the learning rate at which `gamma` counts in full."""


class Bop(Optimizer):
    """The binary optimizer: a weight flips when the average of its gradients insists on it.

    `m <- (1 - gamma) m + gamma g`, then `w <- -w` where `|m| > threshold` and m has the sign of w (Helwegen et al.
    2019, "Latent weights do not exist: rethinking binarized neural network optimization", algorithm 1). A weight thus
    has no size that could decay, and there is no weight decay.

    The learning rate does not move anything; a schedule that lowers it lowers `gamma` in proportion, as the paper
    decays it.

    Args:
        params: parameters that hold -1 and +1, or parameter groups.
        lr: what a schedule multiplies.
        gamma: adaptivity rate: share of each new gradient in the average.
        threshold: size the average must exceed.
    """

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-3, *, gamma: float = 1e-4, threshold: float = 1e-8
    ) -> None:
        super().__init__(
            params, {"lr": lr, "gamma": gamma, "threshold": threshold, _FULL_RATE: lr, "weight_decay": 0.0}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Perform one step; a closure is evaluated once, and what it returns is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            share = float(group["lr"]) / float(group[_FULL_RATE]) if group[_FULL_RATE] else 1.0
            for weight in group["params"]:
                if weight.grad is not None:
                    self._flip(weight, weight.grad, min(1.0, group["gamma"] * share), group["threshold"])
        return loss

    def _flip(self, weight: Tensor, gradient: Tensor, rate: float, threshold: float) -> None:
        state = self.state[weight]
        if not state:
            # the rate is too small for 16 bits
            working = torch.promote_types(weight.dtype, torch.float32)
            state["average"] = torch.zeros_like(weight, dtype=working, memory_format=torch.preserve_format)
        average = state["average"].lerp_(gradient.to(state["average"].dtype), rate)
        weight.copy_(torch.where(average * weight > threshold, -weight, weight))


class BopWithAdam(Joint):
    """Bop for binary weights without latent ones, Adam for all other parameters.

    Each parameter group says with `"algorithm"` whether `bop` or `adam` moves it; one that does not say gets Bop where
    its values are all -1 or +1 and it has two dimensions or more.

    Args:
        params: parameters or parameter groups.
        lr: learning rate of Adam; a schedule that changes it changes `gamma` in proportion.
        weight_decay: of Adam.
        gamma: of Bop: share of each new gradient in its average.
        threshold: of Bop: size the average must exceed for a flip.
        betas: of Adam.
        eps: of Adam.
        fused: whether Adam runs as one compiled loop; None leaves it to PyTorch.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        *,
        gamma: float = 1e-4,
        threshold: float = 1e-8,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        fused: bool | None = None,
    ) -> None:
        adam = {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps, "fused": fused}
        algorithms = {
            "bop": Algorithm(Bop, {"lr": lr, "gamma": gamma, "threshold": threshold}),
            "adam": Algorithm(Adam, adam),
        }
        super().__init__(params, algorithms, _suits)


def _suits(tensor: Tensor) -> str:
    return "bop" if holds_signs(tensor) else "adam"


def holds_signs(tensor: Tensor) -> bool:
    """Whether a matrix consists of -1 and +1 alone."""
    return tensor.ndim > 1 and not tensor.is_meta and tensor.numel() > 0 and bool((tensor.detach().abs() == 1).all())
