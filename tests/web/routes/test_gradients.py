"""Gradients through depth, against NumPy and the rules about them."""

import numpy as np
import pytest

from weightsmith.rules import check
from weightsmith.weight import WeightInfo

SIZES = {"a.weight": (20, 30), "b.weight": (8, 20), "c.weight": (4, 8)}


@pytest.fixture
def flow(store, client):
    """Record norms of gradients by weight; what the address says of the run, and the run."""

    def ask(norms, broken=None, weight_norm=1.0):
        infos = [WeightInfo(name, shape, "float32", "linear") for name, shape in SIZES.items()]
        infos.insert(1, WeightInfo("a.bias", (20,), "float32", "bias"))
        writer = store.create_run(name=None, recipe=None, environment={}, weights=infos)
        for name, values in norms.items():
            steps = np.arange(1, len(values) + 1)
            writer.write(
                series={
                    ("gradient_norm", name): (steps, values),
                    ("norm", name): (steps, np.full(len(values), weight_norm)),
                    ("gradient_non_finite", name): (steps, np.zeros(len(values)) if broken is None else broken),
                }
            )
        writer.finish("completed")
        return client.get(f"/api/stores/s0/runs/{writer.id}/gradients").json(), store.run(writer.id)

    return ask


def states(found):
    return {row["name"]: row["state"] for row in found["weights"]}


def test_quantiles_are_those_of_all_recorded_steps_in_the_models_order(flow):
    rng = np.random.default_rng(0)
    norms = {name: rng.lognormal(size=500) for name in ("c.weight", "a.weight", "a.bias", "b.weight")}
    norms["b.weight"][7] = np.nan
    found, _ = flow(norms)
    assert [row["name"] for row in found["weights"]] == ["a.weight", "a.bias", "b.weight", "c.weight"]
    for row in found["weights"]:
        expected = np.nanquantile(norms[row["name"]], [0.05, 0.5, 0.95])
        np.testing.assert_allclose([row["low"], row["median"], row["high"]], expected)
        assert row["measured"] == 500
    assert states(found) == {"a.weight": "healthy", "a.bias": None, "b.weight": "healthy", "c.weight": "healthy"}


@pytest.mark.parametrize("factor", [900.0, 1100.0])
def test_what_vanishes_is_what_the_rule_says(flow, factor):
    each = {"a.weight": 1.0 / factor, "b.weight": 0.5, "c.weight": 1.0}
    found, run = flow({name: np.full(30, size * np.prod(SIZES[name]) ** 0.5) for name, size in each.items()})
    flagged = {one.weight for one in check(run).findings if one.code == "WS102"}
    assert flagged == ({"a.weight"} if factor > found["thresholds"]["ratio"] else set())
    assert {name for name, state in states(found).items() if state == "vanishing"} == flagged


def test_gradients_that_are_zero_vanish(flow):
    assert set(states(flow({name: np.zeros(30) for name in SIZES})[0]).values()) == {"vanishing"}


def test_what_grows_towards_the_input_jumps_or_dwarfs_its_weight_explodes(flow):
    usual = {name: np.ones(30) for name in SIZES}
    grown, _ = flow(usual | {"a.weight": np.full(30, 1e5)}, weight_norm=1e6)
    assert states(grown) == {"a.weight": "exploding", "b.weight": "healthy", "c.weight": "healthy"}
    jumped = np.ones(30)
    jumped[20] = 101.0
    assert states(flow(usual | {"b.weight": jumped})[0])["b.weight"] == "exploding"
    jumped[20] = 99.0
    assert states(flow(usual | {"b.weight": jumped})[0])["b.weight"] == "healthy"
    assert set(states(flow(usual, weight_norm=0.009)[0]).values()) == {"exploding"}
    assert set(states(flow(usual, weight_norm=0.011)[0]).values()) == {"healthy"}


def test_the_step_is_named_from_which_on_gradients_are_not_finite(flow):
    broken = np.zeros(30)
    broken[11:] = 3
    found, _ = flow({name: np.ones(30) for name in SIZES}, broken)
    assert {(row["state"], row["broken_since"]) for row in found["weights"]} == {("non_finite", 12)}


def test_a_run_without_gradients_has_none(client, record):
    assert client.get(f"/api/stores/s0/runs/{record()}/gradients").json()["weights"] == []
    assert client.get("/api/stores/s0/runs/20200101-000000-abcd/gradients").status_code == 404
