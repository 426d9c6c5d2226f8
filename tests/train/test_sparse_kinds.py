"""Every method of sparse weights in a recipe: what it needs is there, and processes that train together agree."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from weightsmith.kinds import METHODS
from weightsmith.train.assembly import assemble
from weightsmith.train.budget import Best
from weightsmith.train.device import connect
from weightsmith.train.recipe import Recipe
from weightsmith.train.training import train

OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"sparsity": 0.8} for name in ("magnitude", "set", "rigl", "snip", "movement", "wanda")},
    "structured": {"sparsity": 0.5},
    "l0": {"strength": 1e-3},
    "spred": {"strength": 1e-3, "end": 0.5},
    "l1": {"strength": 1e-3},
    "group_lasso": {"strength": 1e-3},
}
BASE: dict[str, Any] = {
    "data": "digits",
    "model": {"name": "mlp", "hidden": [24, 16]},
    "optimizer": {"name": "adam", "lr": 0.02, "clip_norm": 1.0},
    "budget": {"epochs": 4, "keep": "last"},
    "batch_size": 60,
    "threads": 1,
    "record": False,
}


def recipe(method: str, **more: Any) -> dict[str, Any]:
    return {**BASE, "kind": {"name": "sparse", "method": method, **OPTIONS[method]}, **more}


@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_trains_sparse_weights(method: str) -> None:
    result = train(recipe(method), progress=False)
    weights = [module.weight for name, module in result.model.named_modules() if hasattr(module, "parametrizations")]
    zeros = sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)
    if "sparsity" in OPTIONS[method]:
        assert zeros == pytest.approx(OPTIONS[method]["sparsity"], abs=0.02)
    elif method != "l0":  # whose gates take longer to close
        assert zeros > 0.02
    assert result.last is not None
    assert result.last.validation.metric > 0.5


def test_a_trained_model_is_pruned_and_goes_on() -> None:
    trained = train(BASE, progress=False).model
    before = {name: weight.clone() for name, weight in trained.state_dict().items() if weight.dim() > 1}
    still = {"name": "gradient_descent", "lr": 1e-9}
    pruned = train(recipe("wanda", init="kept", optimizer=still, budget={"epochs": 1}), model=trained, progress=False)
    for name, weight in before.items():
        after = pruned.model.get_submodule(name.removesuffix(".weight")).weight
        assert (after == 0).double().mean() == pytest.approx(0.8, abs=0.02)
        torch.testing.assert_close(after[after != 0], weight[after != 0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["magnitude", "structured", "spred", "rigl"])
def test_the_best_weights_are_sparse_ones(method: str) -> None:
    result = train(recipe(method, budget={"epochs": 4, "keep": "best"}), progress=False)
    weights = [module.weight for name, module in result.model.named_modules() if hasattr(module, "parametrizations")]
    zeros = sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)
    assert zeros == pytest.approx(OPTIONS[method].get("sparsity", zeros), abs=0.02)
    assert zeros > 0.02


def test_what_was_best_before_counts_no_more_once_weights_are_sparse() -> None:
    best = Best()
    assert best.update(1.0, 1, settled=False)
    assert not best.update(2.0, 2, settled=False)
    assert not best.exhausted(1)
    assert best.update(3.0, 3, settled=True)
    assert (best.loss, best.step) == (3.0, 3)
    assert not best.update(3.5, 4, settled=True)
    assert best.exhausted(1)
    assert best.update(2.5, 5, settled=True)


@pytest.mark.parametrize("method", METHODS)
def test_every_option_of_a_method_is_in_the_effective_recipe(method: str) -> None:
    effective = Recipe.from_dict(recipe(method)).effective()
    assert set(effective["kind"]) == {"name", "method", "include", "exclude", *METHODS[method].options}
    assert Recipe.from_dict(effective).effective() == effective


def test_kinds_have_a_say_in_loss_and_optimizer() -> None:
    built = {}
    for method in ("l0", "l1"):
        chosen = Recipe.from_dict(recipe(method, penalties={"l1": 0.5, "proximal": method == "l1"}))
        built[method] = assemble(chosen, connect(chosen), None, None)
    gated = built["l0"]
    assert gated.penalty is not None
    expected = 0.5 * sum(
        float(parameter.detach().abs().sum())
        for name, parameter in gated.module.named_parameters()
        if name.endswith("original")
    )
    assert float(gated.penalty().detach()) == pytest.approx(expected + float(gated.kinds.penalty().detach()), rel=1e-5)
    assert built["l1"].penalty is None
    # both strengths act on each weight: 0.5 of the recipe and 0.001 of the kind
    assert {held.l1 for held in built["l1"].optimizer._held} == {0.5 + 1e-3}


def test_the_seed_of_the_recipe_is_that_of_the_masks() -> None:
    masks = []
    for seed in (1, 1, 2):
        chosen = Recipe.from_dict(recipe("set", seed=seed))
        parts = assemble(chosen, connect(chosen), None, None)
        masks.append(next(value for name, value in parts.module.state_dict().items() if name.endswith("mask")))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_clipping_sees_the_gradients_that_are_used() -> None:
    chosen = Recipe.from_dict(
        {**recipe("rigl"), "kind": {"name": "sparse", "method": "rigl", "sparsity": 0.8, "every": 1}}
    )
    parts = assemble(chosen, connect(chosen), None, None)
    inputs, targets = parts.data.train.batch(torch.arange(60))
    parts.update(parts.objective.loss(parts.model(inputs), targets), 0.1)
    norm = torch.stack([weight.grad.norm() for weight in parts.weights if weight.grad is not None]).norm()
    assert float(norm) == pytest.approx(1, rel=1e-3)


def test_masks_of_two_processes_are_the_same(said_together: Callable[..., list[str]]) -> None:
    recipes = [
        {**recipe(method), "kind": {"name": "sparse", "method": method, "every": 5, **OPTIONS[method]}}
        for method in ("set", "rigl")
    ]
    said = said_together(Path(__file__).with_name("masks_together.py"), json.dumps([*recipes, recipe("snip")]))
    lines = [line.split() for line in said if line.startswith("ended")]
    zero, one = ([line[2:] for line in lines if line[1] == rank] for rank in "01")
    assert len(zero) == 3
    assert zero == one
