"""Binary networks from a recipe alone: weights and activations of -1 and +1 in the built-in models."""

import pytest
import torch
from torch import nn

from weightsmith import init
from weightsmith.errors import InputError
from weightsmith.kinds import BinaryActivation
from weightsmith.train import train
from weightsmith.train.data import load_data
from weightsmith.train.models import build_model
from weightsmith.train.models.table import find_model, read_options
from weightsmith.train.recipe import Recipe

LARQ = {
    "model": {"name": "cnn", "channels": [16, 32], "hidden": 64, "activation": "binary"},
    "kind": {"name": "binary", "first_and_last": "continuous"},
    "optimizer": {"name": "adam", "lr": 0.01},
    "batch_size": 128,
    "budget": {"epochs": 12},
    "record": False,
}


def test_a_binary_cnn_pools_first_then_normalizes_then_takes_signs():
    recipe = Recipe.from_dict(LARQ)
    data = load_data(recipe)
    model = build_model(recipe, data).eval()
    inputs, _ = data.train.batch(torch.arange(8))
    norm, convolution = model.norms[0], model.convolutions[0]
    with torch.no_grad():
        norm.weight[::2] *= -1  # where the order matters: the maximum of signs would be another
        expected = torch.where(norm(nn.functional.max_pool2d(convolution(inputs), 2)) >= 0, 1.0, -1.0)
        seen = []
        model.convolutions[1].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        model(inputs)
    assert torch.equal(seen[0], expected)


def test_initialization_knows_what_follows():
    model = build_model(Recipe.from_dict(LARQ), load_data(Recipe.from_dict(LARQ)))
    decisions = {decision.weight: str(decision) for decision in init.explain(model)}
    assert "followed by sign" in decisions["convolutions.1.weight"]


@pytest.mark.parametrize("model", [{"name": "mlp", "hidden": [128, 128]}, LARQ["model"] | {"activation": "relu"}])
def test_activations_of_a_recipe_become_binary_by_the_kind_too(model):
    kind = {"name": "binary", "activations": "binary", "activation_estimator": "approx_sign"}
    result = train(LARQ | {"model": model, "kind": kind, "batch_norm": True}, progress=False)
    found = [module for module in result.model.modules() if isinstance(module, BinaryActivation)]
    assert {module.estimator.name for module in found} == {"approx_sign"}
    assert result.metrics["test_accuracy"] > 0.9


@pytest.mark.parametrize(
    "kind",
    [
        {"name": "binary", "estimator": "reste", "scale": "learned"},
        {"name": "binary", "estimator": "proximal", "binary_from": 0.5},
        {"name": "binary", "stochastic": True, "latent_bound": "glorot"},
        {"name": "ternary", "threshold": 0.6},
    ],
)
def test_recipes_train_every_kind(kind):
    result = train(LARQ | {"kind": kind}, progress=False)
    weight = result.model.convolutions[1].weight
    assert len(weight[0].unique()) <= 3
    assert result.metrics["test_accuracy"] > 0.9


def test_a_recipe_flips_weights():
    recipe = LARQ | {
        "kind": {"name": "binary", "latent": False},
        "optimizer": {"name": "bop", "lr": 0.01, "gamma": 0.01, "threshold": 1e-7},
        "schedule": "cosine",
    }
    result = train(recipe, progress=False)
    assert set(result.model.convolutions[1].weight.unique().tolist()) == {-1.0, 1.0}
    assert result.metrics["test_accuracy"] > 0.9
    with pytest.raises(InputError, match="choose 'bop'"):
        train(recipe | {"optimizer": "adam"}, progress=False)


def test_the_recipes_seed_decides_what_is_drawn():
    def weights(run_seed, **kind):
        recipe = LARQ | {
            "seed": run_seed,
            "kind": {"name": "binary", "stochastic": True, **kind},
            "budget": {"steps": 2},
        }
        return train(recipe, progress=False).model.state_dict()

    name = "hidden.parametrizations.weight.original"
    assert torch.equal(weights(1)[name], weights(1)[name])
    assert torch.equal(weights(1)[name], weights(1, seed=1)[name])
    assert not torch.equal(weights(1)[name], weights(1, seed=2)[name])


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ({"estimator": "clip"}, r"kind.estimator"),
        ({"estimator": "swish_sign", "exponent": 2.0}, "exponent belongs to the estimator reste"),
        ({"latent_bound": "wide"}, "kind.latent_bound"),
        ({"binary_from": 2.0, "estimator": "proximal"}, "binary_from"),
        ({"estimators": "reste"}, "estimators.*did you mean 'estimator'"),
    ],
)
def test_mistakes_of_a_recipe_are_named(kind, named):
    with pytest.raises(InputError, match=named):
        Recipe.from_dict(LARQ | {"kind": {"name": "binary", **kind}})


def test_recipes_round_trip_with_every_option():
    recipe = Recipe.from_dict(LARQ | {"kind": {"name": "binary", "latent_bound": "glorot", "beta": None}})
    assert Recipe.from_dict(recipe.effective()) == recipe
    assert recipe.effective()["kind"]["estimator"] == "clipped"
    assert read_options(find_model("mlp"), {"activation": "binary"})["activation"] == "binary"
