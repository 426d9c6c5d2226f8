"""Muon for matrices and AdamW for everything else, as one optimizer."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import AdamW, Muon, Optimizer

ALGORITHM = "algorithm"
"""Key of a parameter group that says which of the two moves it: `muon` or `adamw`."""


class MuonWithAdamW(Optimizer):
    """Muon orthogonalizes the momentum of a matrix before it steps (Jordan et al. 2024, "Muon").

    That is defined for matrices alone, so each parameter group says with `"algorithm"` whether Muon or AdamW moves it
    (a group that does not say gets Muon where all its parameters have two dimensions). Both share one list of groups
    and one state, so schedulers and checkpoints see a single optimizer.

    Args:
        params: parameters or parameter groups; `momentum` and so on may be set per group.
        lr: learning rate of both; `match_rms_adamw` scales Muon's steps to the size of AdamW's, so that one rate suits
            both (Liu et al. 2025, "Muon is scalable for LLM training").
        weight_decay: decoupled decay of both.
        momentum: of Muon.
        nesterov: whether Muon's momentum looks ahead.
        ns_steps: Newton-Schulz iterations of the orthogonalization.
        adjust_lr_fn: `match_rms_adamw`, or `original` for Jordan's own scale.
        betas: of AdamW.
        eps: of AdamW.
        fused: whether AdamW runs as one compiled loop; None leaves it to PyTorch.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        adjust_lr_fn: str = "match_rms_adamw",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        fused: bool | None = None,
    ) -> None:
        shared: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
        self._options: dict[str, dict[str, Any]] = {
            "muon": {
                **shared,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
            "adamw": {**shared, "betas": betas, "eps": eps, "fused": fused},
        }
        self._parts: dict[str, Optimizer] = {}
        super().__init__(_grouped(params), shared)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group, completed with the options of its algorithm."""
        tensors = [each[1] if isinstance(each, tuple) else each for each in param_group["params"]]
        default = "muon" if all(tensor.ndim == 2 for tensor in tensors) else "adamw"
        algorithm = param_group.setdefault(ALGORITHM, default)
        # Building an optimizer of this group alone lets PyTorch check its options and fill in the others.
        make = Muon if algorithm == "muon" else AdamW
        part = make([param_group], **self._options[algorithm])
        super().add_param_group(part.param_groups[0])
        self._parts.setdefault(algorithm, part)
        self._link()

    def _link(self) -> None:
        """Let both parts work on this optimizer's own groups and state, which loading a checkpoint replaces."""
        for algorithm, part in self._parts.items():
            part.param_groups = [group for group in self.param_groups if group[ALGORITHM] == algorithm]
            part.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Perform one step; a closure is evaluated once, and what it returns is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts.values():
            part.step()
        return loss

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_parts": self._parts, "_options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._link()


def _grouped(params: Iterable[Any]) -> list[dict[str, Any]]:
    """Parameter groups; loose parameters are parted into matrices and the others."""
    given = list(params)
    if given and isinstance(given[0], dict):
        return given
    matrices = [each for each in given if (each[1] if isinstance(each, tuple) else each).ndim == 2]
    chosen = {id(each) for each in matrices}
    others = [each for each in given if id(each) not in chosen]
    return [{"params": group} for group in (matrices, others) if group]
