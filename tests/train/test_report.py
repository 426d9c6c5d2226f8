"""The report against an optimum known from elsewhere."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet

from weightsmith.store import Store
from weightsmith.train.data import Data, Split
from weightsmith.train.objective import baseline_loss, metric_value, spread
from weightsmith.train.recipe import Recipe
from weightsmith.train.report import l1_and_l2
from weightsmith.train.training import train

NAMES = [f"f{index}" for index in range(8)]


def regression() -> Data:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((64, 8))
    targets = inputs[:, [0]] * 2 - inputs[:, [3]] + 0.1 * rng.standard_normal((64, 1))
    split = Split(
        torch.from_numpy(inputs).float(),
        torch.from_numpy((targets - targets.mean()) / targets.std()).float(),
        torch.arange(64),
    )
    return Data("known", "regression", split, split, None, (8,), 1, feature_names=NAMES)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_l1_report_at_the_optimum(l2: float) -> None:
    data = regression()
    recipe: dict[str, Any] = {
        "model": "linear",
        "optimizer": {"name": "sgd", "lr": 0.1},
        "penalties": {"elastic_net": {"l1": 0.2, "l2": l2}},
        "batch_size": 64,
        "budget": {"epochs": 400},
        "threads": 1,
        "record": False,
    }
    result = train(recipe, data=data, progress=False)
    (optimality,) = result.report.optimality
    assert optimality.name == "output.weight"
    assert optimality.relative < 1e-4
    # mean squared error is twice scikit-learn's half of it
    oracle = ElasticNet(alpha=0.1 + l2 / 2, l1_ratio=0.1 / (0.1 + l2 / 2), tol=1e-10)
    oracle.fit(data.train.inputs.double().numpy(), data.train.targets.double().numpy()[:, 0])
    np.testing.assert_allclose(result.model.output.weight.detach().numpy()[0], oracle.coef_, atol=1e-4)
    kept = {NAMES[index] for index in np.flatnonzero(oracle.coef_)}
    assert {feature.name for feature in result.report.surviving} == kept
    assert [feature.name for feature in result.report.features[:2]] == ["f0", "f3"]
    assert result.zeros["output.weight"] == pytest.approx(1 - len(kept) / 8)
    told = json.loads(json.dumps(result.report.to_json()))
    assert told["surviving_features"] == len(kept)
    assert told["top_features"][0][0] == "f0"


def test_far_from_the_optimum_the_residual_is_large() -> None:
    recipe = {"model": "linear", "penalties": {"l1": 0.1}, "budget": {"steps": 1}, "record": False, "threads": 1}
    result = train(recipe, data=regression(), progress=False)
    assert result.report.optimality[0].relative > 1


def test_no_l1_no_optimality() -> None:
    result = train({"model": "linear", "budget": {"steps": 1}, "record": False}, data=regression(), progress=False)
    assert result.report.optimality == []
    assert len(result.report.features) == 8


def test_coupled_decay_is_part_of_the_problem() -> None:
    assert l1_and_l2(Recipe(penalties={"l1": 0.1, "l2": 0.2}, optimizer={"name": "sgd", "weight_decay": 0.05})) == (
        0.1,
        0.25,
    )
    assert l1_and_l2(Recipe(penalties={"l1": 0.1}, optimizer={"name": "adamw", "weight_decay": 0.05})) == (0.1, 0.0)


def test_baselines() -> None:
    classes = torch.tensor([0, 0, 0, 1])
    shares = np.array([0.75, 0.25])
    assert baseline_loss("classification", classes) == pytest.approx(-(shares * np.log(shares)).sum())
    assert baseline_loss("binary_classification", classes.float()[:, None]) == pytest.approx(0.5623, abs=1e-4)
    values = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    assert baseline_loss("regression", values) == pytest.approx((1 + 4) / 2)
    assert spread("regression", values) == pytest.approx(2 + 8)
    assert metric_value("r2", 5.0, 10.0) == 0.5
    assert np.isnan(metric_value("accuracy", 0.0, 0.0))


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_weights_that_the_recipe_keeps_are_those_reported_and_returned(private_store: Path, keep: str) -> None:
    """Trained far past its best epoch, so that the two differ."""
    recipe = Recipe.from_dict(
        {
            "data": "breast_cancer",
            "model": "linear",
            "optimizer": {"name": "adam", "lr": 0.1},
            "penalties": {"l1": 0.05},
            "batch_size": 512,
            "budget": {"epochs": 150, "keep": keep},
            "threads": 1,
        }
    )
    result = train(recipe, store=private_store, progress=False)
    assert result.best is not None
    assert result.last is not None
    assert result.best.step != result.last.step
    kept = result.best if keep == "best" else result.last
    assert result.metrics["test_loss"] == kept.test.loss
    weight = result.model.output.weight
    assert result.zeros["output.weight"] == pytest.approx(float((weight == 0).float().mean()))
    names = {feature.index for feature in result.report.surviving}
    assert names == set(weight[0].nonzero().flatten().tolist())
    with Store.open(private_store) as opened:
        run = opened.run(result.run_id)
        labels = {snapshot.label: snapshot.step for snapshot in run.snapshots()}
        assert run.status == "completed"
        assert labels.get("best") == (result.best.step if keep == "best" else None)
        stored = run.source(kept.step)["output.weight"].read()
    np.testing.assert_array_equal(stored, weight.detach().numpy())
