"""`sparse`: make a model's weights sparse, in place."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from weightsmith.errors import InputError
from weightsmith.kinds.controller import KindController, control
from weightsmith.kinds.selection import require, select
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.method import Evidence, Sparsifier
from weightsmith.kinds.sparse.methods import METHODS
from weightsmith.kinds.sparse.upkeep import SparseUpkeep
from weightsmith.names import Patterns, choose
from weightsmith.sources.module import unwrap


def sparse(
    model: nn.Module,
    sparsity: float | None = None,
    method: str = "magnitude",
    *,
    samples: Iterable[Any] | None = None,
    loss: Callable[[nn.Module], Tensor] | None = None,
    optimizer: Optimizer | None = None,
    include: Patterns = "*",
    exclude: Patterns = (),
    **options: Any,
) -> KindController:
    """Make weights sparse by one of many methods.

    What is masked is exactly 0 and stays 0, whatever momentum or decay does, until a method that rewires grows it.
    Masks are buffers of the model, and its `state_dict`, that of the controller and that of the optimizer together
    resume a training exactly.

    Args:
        model: any module.
        sparsity: share of zeros over the selected weights, from 0 up to but not including 1, for methods that take one;
            the others take a `strength` (`l0`, `spred`, `l1`, `group_lasso`).
        method: a name from `weightsmith.kinds.METHODS`.
        samples: for `wanda`: batches, each a tensor, a tuple of arguments or a dictionary of keyword arguments.
        loss: for `snip`: takes the model and returns the loss of a batch.
        optimizer: attached to the controller (`KindController.attach`), where there is one already.
        include: as for `apply`.
        exclude: as for `apply`.
        **options: the method's own, the fields of `METHODS[method].settings`.

    Returns:
        A controller whose `step` belongs after every `optimizer.step()`, before gradients are cleared.

    Raises:
        InputError: an unknown method or option, a share out of range, data that the method needs, nothing selected, a
            weight already of a kind or on the meta device.

    Example:
        >>> model = torch.nn.Linear(20, 10)
        >>> controller = sparse(model, 0.9, "rigl", every=100)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        >>> _ = controller.attach(optimizer)
    """
    given = {**({} if sparsity is None else {"sparsity": sparsity}), **options}
    settings = settings_of(method, given)
    evidence = Evidence(unwrap(model) if isinstance(model, nn.Module) else model, samples, loss)
    settings.check(evidence)
    sites, left = _selected(evidence, settings, include, exclude)
    for site in sites:
        parametrize.register_parametrization(site.owner, site.attribute, settings.parametrize(site))
    try:
        controller = control(model, "sparse", sites, left, str(settings), SparseUpkeep(method, settings, evidence))
    except BaseException:
        for site in sites:
            parametrize.remove_parametrizations(site.owner, site.attribute, leave_parametrized=False)
        raise
    return controller if optimizer is None else controller.attach(optimizer)


def settings_of(method: str, options: dict[str, Any]) -> Sparsifier:
    """A method's options, checked.

    Raises:
        InputError: an unknown method or option, one that is missing, or a value that does not fit.
    """
    known = METHODS[choose(method, METHODS, "sparse method")]
    for option in options:
        choose(option, known.options, f"option of method '{method}'")
    for option in known.options:
        if option not in options and option not in known.defaults:
            raise InputError(f"method '{method}' needs the option '{option}'")
    return known.settings(**options)


def _selected(
    evidence: Evidence, settings: Sparsifier, include: Patterns, exclude: Patterns
) -> tuple[list[Site], dict[str, str]]:
    found, left = select(evidence.model, include, exclude)
    sites = []
    for site in found:
        if site.stored.is_meta:
            raise InputError(f"'{site.name}' is on the meta device and has no magnitudes: materialize the model first")
        reason = settings.refuse(site, evidence)
        if reason:
            left[site.name] = reason
        else:
            sites.append(site)
    require(sites, "sparse", left)
    return sites, left
