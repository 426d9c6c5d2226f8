"""`sparse`: make a model's weights sparse, in place."""

from collections.abc import Sequence

from torch import nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.kinds.controller import KindController, control
from weightsmith.kinds.selection import require, select
from weightsmith.kinds.site import Site
from weightsmith.kinds.sparse.magnitude import follow_schedule
from weightsmith.kinds.sparse.mask import Mask
from weightsmith.kinds.sparse.schedule import Schedule, Scope
from weightsmith.names import Patterns


def sparse(
    model: nn.Module,
    sparsity: float,
    *,
    scope: Scope = "global",
    start: float = 0.1,
    end: float = 0.75,
    include: Patterns = "*",
    exclude: Patterns = (),
) -> KindController:
    """Make weights sparse by magnitude, gradually along a cubic (Zhu & Gupta 2017, "To prune, or not to prune").

    What is masked is exactly 0 and stays 0, whatever momentum or decay does. With `start=0, end=0` the weights are
    pruned at once.

    Args:
        model: any module.
        sparsity: final share of zeros over the selected weights, from 0 up to but not including 1.
        scope: `global` prunes the smallest of all selected weights together, `layer` the same share of each.
        start: share of training at which pruning starts.
        end: share of training from which on the sparsity is full; the rest is for recovery.
        include: as for `apply`.
        exclude: as for `apply`.

    Raises:
        InputError: a share out of range, nothing selected, a weight already of a kind or on the meta device.
    """
    schedule = Schedule(sparsity, start, end, scope)
    sites, left = select(model, include, exclude)
    require(sites, "sparse", left)
    for site in sites:
        if site.stored.is_meta:
            raise InputError(f"'{site.name}' is on the meta device and has no magnitudes: materialize the model first")
    for site in sites:
        parametrize.register_parametrization(site.owner, site.attribute, Mask(site.stored))

    def mask(sites: Sequence[Site], progress: float) -> None:
        follow_schedule(sites, schedule, progress)

    return control(model, "sparse", sites, left, str(schedule), mask)
