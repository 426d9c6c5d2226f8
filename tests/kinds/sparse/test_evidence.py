"""Masks and penalties of methods that look at data or learn gates, compared with what NumPy says they should be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from weightsmith import kinds, optim

AT_ONCE = {"start": 0, "end": 0}


def two_layers(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 7))


def masks(controller) -> list[np.ndarray]:
    return [kinds.mask_of(site).mask.numpy() for site in controller.sites]


# --- looks at data


def test_snip_keeps_the_largest_products():
    model = two_layers().double()
    inputs, targets = torch.randn(20, 12).double(), torch.randn(20, 7).double()
    F.mse_loss(model(inputs), targets).backward()
    scores = [(layer.weight * layer.weight.grad).abs().detach().numpy() for layer in (model[0], model[2])]
    model.zero_grad()
    controller = kinds.sparse(model, 0.6, "snip", loss=lambda model: F.mse_loss(model(inputs), targets))
    everything = np.sort(np.concatenate([score.ravel() for score in scores]))
    threshold = everything[round(0.6 * everything.size)]
    for score, mask in zip(scores, masks(controller), strict=True):
        np.testing.assert_array_equal(mask, score >= threshold)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_looking_at_data_leaves_no_trace():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 2))
    state = {name: value.clone() for name, value in model.state_dict().items() if "norm" in name or "running" in name}
    random = torch.get_rng_state()
    inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    kinds.sparse(model, 0.5, "snip", loss=lambda model: model(inputs).square().sum(), include="0.weight")
    kinds.sparse(model, 0.5, "wanda", samples=[inputs], include="3.weight")
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(6, 4),
        nn.Conv2d(4, 6, 3, groups=2, stride=2, padding=1, dilation=2),
        nn.Conv1d(3, 2, 2, padding=1, padding_mode="circular"),
    ],
    ids=["linear", "conv", "circular"],
)
def test_wanda_by_the_norm_of_what_each_weight_meets(layer):
    torch.manual_seed(0)
    inputs = torch.randn(5, *{nn.Linear: (6,), nn.Conv2d: (4, 7, 6), nn.Conv1d: (3, 9)}[type(layer)])
    weight = layer.weight.detach().clone()
    # the slow way: what one weight of 1 alone, all others 0, puts out is what it meets
    probe = type(layer)(**{**arguments(layer), "bias": False})
    norms = torch.zeros_like(weight)
    with torch.no_grad():
        for position in np.ndindex(*weight.shape):
            probe.weight.zero_()
            probe.weight[position] = 1
            norms[position] = probe(inputs).norm()
    scores = (weight.abs() * norms).flatten(1).numpy()
    controller = kinds.sparse(nn.Sequential(layer), 0.5, "wanda", samples=[inputs[:2], inputs[2:]])
    (mask,) = masks(controller)
    for row, chosen in zip(scores, mask.reshape(len(mask), -1), strict=True):
        kept = len(row) - round(0.5 * len(row))
        assert set(np.flatnonzero(chosen)) == set(np.argsort(-row)[:kept])


def test_wanda_leaves_every_output_an_input():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 4, 30))
    kinds.sparse(model, 0.95, "wanda", samples=[torch.randn(8, 1, 4, 4)])
    assert (model[0].weight != 0).flatten(1).sum(1).tolist() == [1] * 4
    assert (model[2].weight != 0).sum(1).tolist() == [1] * 30


def arguments(layer) -> dict:
    if isinstance(layer, nn.Linear):
        return {"in_features": layer.in_features, "out_features": layer.out_features}
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    return {name: getattr(layer, name) for name in names}


def test_movement_prunes_what_moves_to_zero():
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -1.0, 0.1, -0.1]]))
    controller = kinds.sparse(model, 0.5, "movement", start=0.5, end=0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    controller.attach(optimizer)
    for step in range(10):
        optimizer.zero_grad()
        # large weights fall, small ones rise
        (model[0].weight * torch.tensor([[1.0, -1.0, -1.0, 1.0]])).sum().backward()
        optimizer.step()
        controller.step((step + 1) / 10)
    assert masks(controller)[0].tolist() == [[False, False, True, True]]


# --- penalties


def test_l0_expects_what_it_draws():
    model = nn.Sequential(nn.Linear(50, 40, bias=False))
    controller = kinds.sparse(model, method="l0", strength=1.0, dropped=0.7)
    drawn = []
    for step in range(50):
        controller.step(step / 50)
        drawn.append(float((model[0].weight != 0).sum()))
    expected = float(controller.penalty().detach())
    assert expected == pytest.approx(np.mean(drawn), rel=0.02)
    gates = model[0].parametrizations.weight[0]
    alpha = gates.log_alpha.detach().double().numpy()
    np.testing.assert_allclose(expected, (1 / (1 + np.exp(-(alpha - 2 / 3 * np.log(0.1 / 1.1))))).sum(), rtol=1e-5)
    model.eval()
    middle = np.clip(1 / (1 + np.exp(-alpha)) * 1.2 - 0.1, 0, 1).reshape(40, 50)
    expected = model[0].parametrizations.weight.original.detach().numpy() * middle
    np.testing.assert_allclose(model[0].weight.detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    assert controller.has_penalty


@pytest.mark.parametrize(("by", "count"), [("weights", 12), ("rows", 3), ("columns", 4)])
def test_l0_gates(by, count):
    model = nn.Sequential(nn.Linear(4, 3))
    kinds.sparse(model, method="l0", strength=1.0, by=by)
    gates = model[0].parametrizations.weight[0]
    assert gates.log_alpha.numel() == count
    with torch.no_grad():
        gates.log_alpha[0] = -9
    model.eval()
    zeros = (model[0].weight == 0).numpy()
    expected = np.zeros((3, 4), bool)
    expected[{"weights": (0, 0), "rows": 0, "columns": (slice(None), 0)}[by]] = True
    np.testing.assert_array_equal(zeros, expected)
    assert gates.mask.expand(3, 4).logical_not().numpy().tolist() == expected.tolist()


def test_spred_finds_what_lasso_finds():
    sklearn = pytest.importorskip("sklearn.linear_model")
    random = np.random.default_rng(0)
    inputs = random.standard_normal((80, 12))
    targets = inputs @ np.where(np.arange(12) < 4, 2.0, 0.0) + 0.1 * random.standard_normal(80)
    lasso = sklearn.Lasso(alpha=0.3, fit_intercept=False).fit(inputs, targets)
    model = nn.Sequential(nn.Linear(12, 1, bias=False)).double()
    controller = kinds.sparse(model, method="spred", strength=0.3, end=0.9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
    for step in range(800):
        optimizer.zero_grad()
        (0.5 * F.mse_loss(model(x)[:, 0], y) + controller.penalty()).backward()
        optimizer.step()
        controller.step((step + 1) / 800)
    found = model[0].weight.detach().numpy()[0]
    np.testing.assert_allclose(found, lasso.coef_, atol=1e-3)
    np.testing.assert_array_equal(found == 0, lasso.coef_ == 0)


def test_l1_is_left_to_the_optimizer():
    controller = kinds.sparse(two_layers(), method="l1", strength=0.1)
    assert {name: penalty.strength for name, penalty in controller.penalties.items()} == {
        "0.weight": 0.1,
        "2.weight": 0.1,
    }
    assert not controller.has_penalty
    assert controller.penalty() == 0
    model = two_layers()
    controller = kinds.sparse(model, method="group_lasso", strength=0.1, by="columns", include="0.weight")
    optimizer = optim.build(model, "sgd", 0.1, penalties=controller.penalties)
    for step in range(60):
        optimizer.zero_grad()
        model(torch.randn(20, 12)).square().sum().mul(1e-3).backward()
        optimizer.step()
        controller.step((step + 1) / 60)
    assert (model[0].weight == 0).all(0).any()
    assert not kinds.mask_of(controller.sites[0]).mask[:, (model[0].weight == 0).all(0)].any()
