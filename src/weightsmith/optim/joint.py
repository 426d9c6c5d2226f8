"""Two algorithms as one optimizer: some parameters are moved by one, the rest by the other."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer

ALGORITHM = "algorithm"
"""Key of a parameter group that says which algorithm moves it."""


class Algorithm(NamedTuple):
    """One of the algorithms: its class, and the options of the groups it moves."""

    optimizer: type[Optimizer]
    options: dict[str, Any]


class Joint(Optimizer):
    """Optimizers that share one list of groups and one state, so that schedulers and checkpoints see a single one.

    Args:
        params: parameters or parameter groups; a group says with `"algorithm"` which of them moves it, else `suits`
            does, which also parts loose parameters.
        algorithms: by name.
        suits: name of the algorithm for a parameter.
    """

    def __init__(
        self, params: Iterable[Any], algorithms: Mapping[str, Algorithm], suits: Callable[[Tensor], str]
    ) -> None:
        self._algorithms = dict(algorithms)
        self._suits = suits
        self._parts: dict[str, Optimizer] = {}
        first = next(iter(self._algorithms.values())).options
        super().__init__(self._grouped(params), {name: first[name] for name in ("lr", "weight_decay") if name in first})

    def _grouped(self, params: Iterable[Any]) -> list[dict[str, Any]]:
        """Parameter groups; loose parameters are parted by what suits them."""
        given = list(params)
        if given and isinstance(given[0], dict):
            return given
        parted: dict[str, list[Any]] = {name: [] for name in self._algorithms}
        for each in given:
            parted[self._suits(_tensor(each))].append(each)
        return [{"params": group} for group in parted.values() if group]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group, completed with the options of its algorithm."""
        names = {self._suits(_tensor(each)) for each in param_group["params"]}
        default = names.pop() if len(names) == 1 else list(self._algorithms)[-1]
        name = param_group.setdefault(ALGORITHM, default)
        # building an optimizer of this group alone lets PyTorch check its options and fill in the others
        algorithm = self._algorithms[name]
        part = algorithm.optimizer([param_group], **algorithm.options)
        super().add_param_group(part.param_groups[0])
        self._parts.setdefault(name, part)
        self._link()

    def _link(self) -> None:
        """Let the parts work on this optimizer's own groups and state, which loading a checkpoint replaces."""
        for name, part in self._parts.items():
            part.param_groups = [group for group in self.param_groups if group[ALGORITHM] == name]
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
        own = {"_parts": self._parts, "_algorithms": self._algorithms, "_suits": self._suits}
        return {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._link()


def _tensor(given: Any) -> Tensor:
    """A parameter, also of a pair of its name and it."""
    tensor = given[1] if isinstance(given, tuple) else given
    assert isinstance(tensor, Tensor)
    return tensor
