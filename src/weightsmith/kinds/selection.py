"""Which weights of a model get a kind, and the reason for each that does not."""

from collections.abc import Iterator

from torch import nn
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.kinds.site import Site
from weightsmith.names import Patterns, matches, suggestion
from weightsmith.sources.module import describe, unwrap
from weightsmith.weight import MATRIX_ROLES, WeightInfo


def matrices(model: nn.Module) -> list[WeightInfo]:
    """The weights that a kind can be given, in the model's order."""
    return [info for info in describe(model) if info.role in MATRIX_ROLES and len(info.shape) > 1]


def select(model: nn.Module, include: Patterns, exclude: Patterns) -> tuple[list[Site], dict[str, str]]:
    """Weights to be of the kind, and the reason for each matrix that stays continuous."""
    if not isinstance(model, nn.Module):
        raise InputError(
            f"only the weights of a torch.nn.Module can be of a kind, not those of a {type(model).__name__}"
        )
    model_inside = unwrap(model)
    infos = describe(model)
    candidates = matrices(model)
    _refuse_idle(include, [info.name for info in candidates], "include")
    _refuse_idle(exclude, [info.name for info in infos], "exclude")
    shared = {info.tied_to for info in infos} | {info.name for info in infos if info.tied_to}
    sites, left = [], {}
    for info in candidates:
        path, _, attribute = info.name.rpartition(".")
        site = Site(info.name, _owner(model_inside, path), attribute)
        reason = _reason_to_leave(info, site, include, exclude, shared)
        if reason:
            left[info.name] = reason
        else:
            sites.append(site)
    return sites, left


def _reason_to_leave(
    info: WeightInfo, site: Site, include: Patterns, exclude: Patterns, shared: set[str | None]
) -> str:
    outright = _outright(info.name, include)
    reasons = {
        "not included": not matches(info.name, include),
        "excluded": matches(info.name, exclude),
        "embedding: include it by name": info.role == "embedding" and not outright,
        "tied weights keep their values": info.name in shared,
        "a parametrization computes it from several tensors": _of_several(site),
        "recurrent layers copy their weights into one block": isinstance(site.owner, nn.RNNBase),
    }
    reason = next((text for text, holds in reasons.items() if holds), "")
    if not reason and _kind_of(site):
        raise InputError(f"'{info.name}' is {_kind_of(site)} already: exclude it, or build the model anew")
    return reason


def _kind_of(site: Site) -> str:
    if not parametrize.is_parametrized(site.owner, site.attribute):
        return ""
    return next((str(step.kind) for step in site.chain if hasattr(step, "kind")), "")


def _of_several(site: Site) -> bool:
    return parametrize.is_parametrized(site.owner, site.attribute) and not hasattr(site.chain, "original")


def plain(sites: list[Site], left: dict[str, str]) -> tuple[list[Site], dict[str, str]]:
    """The selection without weights that a parametrization computes: what is stored is not what the model uses."""
    computed = [site for site in sites if parametrize.is_parametrized(site.owner, site.attribute)]
    reasons = {site.name: "a parametrization computes it from another tensor" for site in computed}
    return [site for site in sites if site.name not in reasons], {**left, **reasons}


def _outright(name: str, include: Patterns) -> bool:
    patterns = [include] if isinstance(include, str) else list(include)
    return matches(name, [pattern for pattern in patterns if pattern != "*"])


def keep_ends(
    model: nn.Module, sites: list[Site], left: dict[str, str], include: Patterns
) -> tuple[list[Site], dict[str, str]]:
    """The selection without the model's first and last matrix, save for those that `include` names."""
    names = [info.name for info in matrices(model) if info.role != "embedding"]
    ends = {name: where for where, name in (("last", names[-1]), ("first", names[0]))} if names else {}
    ends = {name: where for name, where in ends.items() if not _outright(name, include)}
    reasons = {
        site.name: f"the model's {ends[site.name]} matrix stays continuous" for site in sites if site.name in ends
    }
    return [site for site in sites if site.name not in ends], {**left, **reasons}


def require(sites: list[Site], what: str, left: dict[str, str]) -> None:
    """Refuse an empty selection."""
    if not sites:
        seen = "; ".join(f"{name}: {reason}" for name, reason in list(left.items())[:3])
        raise InputError(f"no weight can be {what} ({seen or 'the model has no matrices'})")


def _refuse_idle(patterns: Patterns, names: list[str], what: str) -> None:
    for pattern in _each(patterns):
        if pattern != "*" and not any(matches(name, pattern) for name in names):
            raise InputError(f"{what} pattern '{pattern}' matches no weight{suggestion(pattern.strip('*.'), names)}")


def _each(patterns: Patterns) -> Iterator[str]:
    yield from [patterns] if isinstance(patterns, str) else patterns


def _owner(model: nn.Module, path: str) -> nn.Module:
    for name in filter(None, path.split(".")):
        model = unwrap(model.get_submodule(name))
    return model
