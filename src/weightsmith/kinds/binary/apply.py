"""`binary`: make a model's weights binary, in place."""

from collections.abc import Sequence

from torch import nn
from torch.nn.utils import parametrize

from weightsmith.kinds.binary.parametrization import Binary, clamp_latent
from weightsmith.kinds.binary.settings import Alphabet, Binarization, Ends, Scale
from weightsmith.kinds.controller import KindController, control
from weightsmith.kinds.selection import keep_ends, require, select
from weightsmith.kinds.site import Site
from weightsmith.names import Patterns


def binary(
    model: nn.Module,
    *,
    alphabet: Alphabet = "signs",
    scale: Scale = "none",
    first_and_last: Ends = "continuous",
    include: Patterns = "*",
    exclude: Patterns = (),
) -> KindController:
    """Make weights binary: two values forward, a latent continuous weight that learns.

    Args:
        model: any module.
        alphabet: `signs` for {-1, +1}, `bits` for {0, 1}.
        scale: `none`, or a factor per `tensor` or output `channel` (Rastegari et al. 2016).
        first_and_last: the model's first and last matrix lose most accuracy for least size and stay `continuous`,
            unless a pattern other than `*` includes them or this says `binary`.
        include: as for `apply`.
        exclude: as for `apply`.

    Raises:
        InputError: nothing left to be binary, an unknown alphabet or scale, a weight already of a kind.
    """
    settings = Binarization(alphabet, scale, first_and_last)
    sites, left = select(model, include, exclude)
    if first_and_last == "continuous":
        sites, left = keep_ends(model, sites, left, include)
    require(sites, "binary; the first and last matrix stay continuous unless first_and_last='binary'", left)
    for site in sites:
        parametrize.register_parametrization(site.owner, site.attribute, Binary(alphabet, scale, site.groups))

    def clamp(sites: Sequence[Site], progress: float) -> None:
        for site in sites:
            clamp_latent(site.stored)

    return control(model, "binary", sites, left, str(settings), clamp)
