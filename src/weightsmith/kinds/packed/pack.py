"""`pack`: a model whose binary, ternary and sparse layers are small and fast."""

import copy
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.graph import Graph, trace
from weightsmith.kinds.packed.candidates import Candidate, candidates, sharing
from weightsmith.kinds.packed.chains import hand_over, offer_signs
from weightsmith.kinds.packed.choice import Choice, Choices
from weightsmith.kinds.packed.folding import FoldedNorm
from weightsmith.kinds.packed.measure import observe
from weightsmith.kinds.packed.plan import Plan, make_plan, settle
from weightsmith.kinds.packed.substitute import substitute
from weightsmith.names import Patterns, choose
from weightsmith.packing import Floats
from weightsmith.sources.module import unwrap

Activations = Literal["float32", "int8"]


def pack(
    model: nn.Module,
    *,
    sample: object = None,
    measure: bool = True,
    values: Floats = "float32",
    activations: Activations = "float32",
    keep: Patterns = (),
) -> nn.Module:
    """A packed copy of a model, in evaluation mode, of which nothing trains.

    Linear layers and two-dimensional convolutions whose weights are binary, ternary or mostly zeros, by their kind or
    by their values alone, become packed layers; batch norms that follow them are folded in. Weights that are the same
    stay the same. `report` of what is returned says for each matrix what became of it, and why.

    Args:
        model: any module; it is not changed.
        sample: one batch, to measure with: a tensor, a tuple of arguments, or a dictionary of keyword arguments.
        measure: time each layer on this machine, and keep it dense where packed is not faster. Convolutions can only be
            measured with a sample.
        values: type of what is not zero in sparse weights; 16 bits round.
        activations: `int8` rounds what goes into binary layers to 8 bits a row; faster, and not exact.
        keep: patterns of weights to leave dense.

    Raises:
        InputError: no module, one on the meta device, an unknown option, or a sample that the model cannot take.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"only a torch.nn.Module can be packed, not a {type(model).__name__}")
    choose(values, get_args(Floats), "type of values")
    choose(activations, get_args(Activations), "type of activations")
    if any(parameter.is_meta for parameter in model.parameters()):
        raise InputError("the model lies on the meta device and has no values: load its weights first")
    packed = copy.deepcopy(unwrap(model)).eval().requires_grad_(False)
    notes: list[str] = []
    with torch.no_grad():
        found = candidates(packed, keep, values)
        graph = _graph(packed, notes)
        _leave_read(found, graph)
        plans = [make_plan(group, graph) for group in sharing(each for each in found if not each.reason)]
        if graph is not None:
            for plan in plans:
                offer_signs(graph, plan)
        owners = {key for plan in plans for key in plan.owners}
        seen = observe(packed, sample, owners) if measure and sample is not None else {}
        for plan in plans:
            settle(plan, seen if measure else None, activations)
        passing = hand_over(graph, plans, notes) if graph is not None else {}
        packed = substitute(packed, _replacements(plans, passing, notes))
    packed.requires_grad_(False)
    packed.report = _report(found, plans, notes)  # type: ignore[assignment]
    return packed


def _graph(model: nn.Module, notes: list[str]) -> Graph | None:
    try:
        return trace(model)
    except InputError as error:
        notes.append(f"no batch norm is folded: {error}")
        return None


def _leave_read(found: list[Candidate], graph: Graph | None) -> None:
    """Leave weights that a forward method reads itself: behind a packed layer there is no such tensor."""
    read = {node.path for node in graph.nodes if node.operation == "attribute"} if graph is not None else set()
    for candidate in found:
        if not candidate.reason and candidate.info.name in read:
            candidate.reason = "the model reads its weight itself"


def _replacements(plans: list[Plan], passing: dict[int, nn.Module], notes: list[str]) -> dict[int, nn.Module]:
    """What takes the place of layers and of the batch norms folded into them."""
    found = dict(passing)
    for plan in plans:
        found.update(plan.layers)
        if plan.norm is None or plan.norm.module is None or not plan.layers or id(plan.norm.module) in found:
            continue
        norm = plan.norm.module
        assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
        dimensions = 2 if isinstance(plan.group[0].owner, nn.Linear) else 4
        found[id(norm)] = FoldedNorm(norm.num_features, dimensions, norm.eps)
        notes.append(f"{plan.norm.path}: batch norm, folded into {plan.group[0].path}")
    return found


def _report(found: list[Candidate], plans: list[Plan], notes: list[str]) -> Choices:
    chosen = {each.info.name: Choice(each.info.name, "dense", each.reason, nbytes=_nbytes(each)) for each in found}
    for plan in plans:
        chosen.update(plan.choices())
    return Choices(tuple(chosen.values()), tuple(notes))


def _nbytes(candidate: Candidate) -> int:
    weight = getattr(candidate.owner, candidate.info.name.rpartition(".")[2])
    assert isinstance(weight, Tensor)
    return weight.nbytes
