"""Which runs' models can be built again: those that a recipe alone describes."""

from typing import Any

from weightsmith.errors import InputError
from weightsmith.store import Run


def rebuildable_recipe(run: Run) -> dict[str, Any]:
    """The recipe that describes a run's model and data.

    Raises:
        InputError: the run was recorded in a loop of its own, or had data or a model of its own.
    """
    own = [part for part in ("data", "model") if run.environment.get(f"own_{part}", False)]
    if run.recipe is None or own:
        what = f"was trained with {' and '.join(own)} of its own" if own else "was recorded in a loop of its own"
        raise InputError(
            f"run {run.id} {what}, so its model cannot be built here: use weightsmith.explain in Python, on your model"
        )
    return run.recipe
