"""Muon for matrices and AdamW for everything else, as one optimizer."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.optim import AdamW, Muon

from weightsmith.optim.joint import Algorithm, Joint


class MuonWithAdamW(Joint):
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
        own = {"momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn}
        algorithms = {
            "muon": Algorithm(Muon, {**shared, **own}),
            "adamw": Algorithm(AdamW, {**shared, "betas": betas, "eps": eps, "fused": fused}),
        }
        super().__init__(params, algorithms, _suits)


def _suits(tensor: Tensor) -> str:
    return "muon" if tensor.ndim == 2 else "adamw"
