"""Weightsmith: the workbench for neural-network weights.

Everything here is loaded when first used, so that `import weightsmith` costs next to nothing and looking at weights
never loads torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightsmith import analysis, explain, init, kinds, optim, penalties, plots, scan, train
    from weightsmith.analysis.diff import diff
    from weightsmith.recording import record
    from weightsmith.rules import check
    from weightsmith.sketch import Sketch
    from weightsmith.sources import open
    from weightsmith.store import Run, Store
    from weightsmith.web.show import show

_HOMES = {
    "Run": "store",
    "Sketch": "sketch",
    "Store": "store",
    "check": "rules",
    "diff": "analysis.diff",
    "open": "sources",
    "record": "recording",
    "show": "web.show",
}
_PACKAGES = ("analysis", "explain", "init", "kinds", "optim", "penalties", "plots", "scan", "train")

__all__ = [
    "Run",
    "Sketch",
    "Store",
    "analysis",
    "check",
    "diff",
    "explain",
    "init",
    "kinds",
    "open",
    "optim",
    "penalties",
    "plots",
    "record",
    "scan",
    "show",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"weightsmith.{name}")
    if name in _HOMES:
        return getattr(import_module(f"weightsmith.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'weightsmith' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
