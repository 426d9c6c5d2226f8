"""Masks of each method, compared with what NumPy says they should be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from weightsmith import kinds, optim
from weightsmith.errors import InputError
from weightsmith.kinds.sparse.allocation import erdos_renyi_kernel, uniform
from weightsmith.kinds.sparse.rewiring import rewired

AT_ONCE = {"start": 0, "end": 0}


def two_layers(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 30), nn.ReLU(), nn.Linear(30, 7))


def masks(controller) -> list[np.ndarray]:
    return [kinds.mask_of(site).mask.numpy() for site in controller.sites]


# --- how many stay


shapes = st.lists(st.lists(st.integers(1, 40), min_size=2, max_size=4).map(tuple), min_size=1, max_size=6)


@given(shapes=shapes, sparsity=st.floats(0, 0.999))
def test_erdos_renyi_kernel_densities(shapes, sparsity):
    kept = erdos_renyi_kernel(shapes, sparsity)
    sizes = [int(np.prod(shape)) for shape in shapes]
    assert sum(kept) == sum(sizes) - round(sparsity * sum(sizes))
    assert all(0 <= count <= size for count, size in zip(kept, sizes, strict=True))
    # layers that are not full share one factor of their densities, up to rounding
    open_ = [i for i, size in enumerate(sizes) if kept[i] < size - 1]
    factors = [(max(kept[i] - 1, 0) / sum(shapes[i]), (kept[i] + 1) / sum(shapes[i])) for i in open_]
    if factors:
        assert max(low for low, _ in factors) <= min(high for _, high in factors) + 1e-9
        # and full ones are those to whom that factor gives more than they have
        factor = min(high for _, high in factors)
        assert all(factor * sum(shapes[i]) >= sizes[i] - 2 for i in range(len(sizes)) if kept[i] == sizes[i] > 2)


def test_erdos_renyi_of_lenet():
    # by hand: 784x300, 300x100, 100x10 with a factor of (0.05 * 266200 - 1000) / (1084 + 400), the last layer full
    factor = (0.05 * 266200 - 1000) / (1084 + 400)
    assert factor * 110 < 1000  # so it is not full
    factor = 0.05 * 266200 / (1084 + 400 + 110)
    expected = [factor * 1084, factor * 400, factor * 110]
    found = erdos_renyi_kernel([(300, 784), (100, 300), (10, 100)], 0.95)
    np.testing.assert_allclose(found, expected, atol=1)
    assert uniform([(300, 784), (10, 100)], 0.9) == [23520, 100]


# --- magnitude


@pytest.mark.parametrize("scope", ["layer", "erk"])
def test_each_layer_loses_its_smallest(scope):
    model = two_layers()
    dense = [model[0].weight.detach().numpy().copy(), model[2].weight.detach().numpy().copy()]
    controller = kinds.sparse(model, 0.8, scope=scope, **AT_ONCE)
    shapes = [weight.shape for weight in dense]
    kept = erdos_renyi_kernel(shapes, 0.8) if scope == "erk" else uniform(shapes, 0.8)
    for weight, mask, count in zip(dense, masks(controller), kept, strict=True):
        threshold = np.sort(np.abs(weight).ravel())[-count]
        np.testing.assert_array_equal(mask, np.abs(weight) >= threshold)


@given(
    outputs=st.integers(1, 5),
    inputs=st.integers(1, 23),
    m=st.integers(2, 8),
    seed=st.integers(0, 9),
    data=st.data(),
)
def test_n_of_m(outputs, inputs, m, seed, data):
    n = data.draw(st.integers(1, m - 1))
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(inputs, outputs))
    weight = np.abs(model[0].weight.detach().numpy())
    controller = kinds.sparse(model, n=n, m=m, **AT_ONCE)
    (mask,) = masks(controller)
    for row, chosen in zip(weight, mask, strict=True):
        for start in range(0, inputs, m):
            group, kept = row[start : start + m], chosen[start : start + m]
            wanted = -(-n * len(group) // m)
            assert kept.sum() == wanted
            assert set(np.flatnonzero(kept)) == set(np.argsort(-group, kind="stable")[:wanted])


def test_n_of_m_of_a_convolution_goes_over_its_flattened_inputs():
    model = nn.Sequential(nn.Conv2d(3, 4, 2))
    weight = np.abs(model[0].weight.detach().numpy()).reshape(4, 3, 4)
    (mask,) = masks(kinds.sparse(model, n=1, m=4, **AT_ONCE))
    expected = weight == weight.max(2, keepdims=True)
    np.testing.assert_array_equal(mask.reshape(4, 3, 4), expected)


def test_n_of_m_comes_gradually():
    model = nn.Sequential(nn.Linear(16, 4))
    controller = kinds.sparse(model, n=2, m=8, start=0, end=1)
    left = []
    for step in range(11):
        controller.step(step / 10)
        counts = masks(controller)[0].reshape(-1, 8).sum(1)
        assert len(set(counts)) == 1
        left.append(int(counts[0]))
    assert left[0] == 8
    assert left[-1] == 2
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_blocks_go_together(scope):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 7), nn.Linear(7, 8))
    dense = [layer.weight.detach().abs().numpy().copy() for layer in model]
    controller = kinds.sparse(model, 0.5, block=(2, 4), scope=scope, **AT_ONCE)
    means = [
        np.array([[w[r : r + 2, c : c + 4].mean() for c in range(0, w.shape[1], 4)] for r in range(0, w.shape[0], 2)])
        for w in dense
    ]
    everything = np.concatenate([mean.ravel() for mean in means])
    for weight, mean, mask in zip(dense, means, masks(controller), strict=True):
        pool = everything if scope == "global" else mean.ravel()
        keep = mean >= np.sort(pool)[round(0.5 * pool.size)]
        expected = np.kron(keep, np.ones((2, 4), bool))[: weight.shape[0], : weight.shape[1]]
        np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("scope", ["layer", "erk", "global"])
def test_every_output_has_as_many_inputs(scope):
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ConvTranspose2d(6, 4, 3, groups=2))
    dense = [layer.weight.detach().abs().numpy().copy() for layer in model]
    controller = kinds.sparse(model, 0.7, fan_in=True, scope=scope, **AT_ONCE)
    conv, transposed = masks(controller)
    counts = conv.reshape(6, -1).sum(1)
    assert len(set(counts)) == 1
    for row, mask in zip(dense[0].reshape(6, -1), conv.reshape(6, -1), strict=True):
        assert set(np.flatnonzero(mask)) == set(np.argsort(-row)[: counts[0]])
    # the outputs of a transposed convolution lie along its second dimension, within each group
    by_output = [transposed[group * 3 : group * 3 + 3, channel].sum() for group in range(2) for channel in range(2)]
    assert len(set(by_output)) == 1
    total = sum(mask.size for mask in (conv, transposed))
    assert 1 - (conv.sum() + transposed.sum()) / total == pytest.approx(0.7, abs=0.05)


# --- set and rigl


@given(
    outputs=st.integers(1, 6),
    inputs=st.integers(1, 9),
    density=st.floats(0.1, 1),
    fraction=st.floats(0, 1),
    per_row=st.booleans(),
    seed=st.integers(0, 99),
)
def test_rewiring_against_numpy(outputs, inputs, density, fraction, per_row, seed):
    random = np.random.default_rng(seed)
    mask = random.random((outputs, inputs)) < density
    weights = random.standard_normal((outputs, inputs)).astype(np.float32) * mask
    growth = random.random((outputs, inputs)).astype(np.float32)
    found = rewired(*map(torch.from_numpy, (mask, weights, growth)), fraction, per_row=per_row).numpy()
    count = int(fraction * mask.sum())
    active = np.flatnonzero(mask)
    dropped = active[np.argsort(np.abs(weights.ravel()[active]))[:count]]
    expected = mask.copy()
    expected.flat[dropped] = False
    for row in range(outputs) if per_row else [slice(None)]:
        part, scores = expected[row], growth[row]  # views
        missing = int(mask[row].sum() - part.sum())
        free = np.flatnonzero(~part)
        part.flat[free[np.argsort(-scores.ravel()[free])[:missing]]] = True
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("fan_in", [False, True])
def test_rigl_grows_where_the_dense_gradient_is_largest(fan_in):
    model = two_layers().double()
    controller = kinds.sparse(model, 0.7, "rigl", every=2, drop=0.5, until=1.0, fan_in=fan_in)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    controller.attach(optimizer)
    inputs, targets = torch.randn(40, 12).double(), torch.randn(40, 7).double()
    parts = [(inputs[:10], targets[:10]), (inputs[10:], targets[10:])]

    def backward() -> None:
        optimizer.zero_grad()
        for some, wanted in parts:  # accumulated
            (F.mse_loss(model(some), wanted, reduction="sum") / 40).backward()

    backward()
    first = model[0].parametrizations.weight.original.grad
    assert not first[~kinds.mask_of(controller.sites[0]).mask].any()
    optimizer.step()
    controller.step(0.1)
    before = [mask.copy() for mask in masks(controller)]
    # the oracle: a dense model with the weights of the sparse one
    dense = two_layers().double()
    with torch.no_grad():
        for index in (0, 2):
            dense[index].weight.copy_(model[index].weight)
            dense[index].bias.copy_(model[index].bias)
    (F.mse_loss(dense(inputs), targets, reduction="sum") / 40).backward()
    backward()
    optimizer.step()
    moved = [model[index].weight.detach().numpy().copy() for index in (0, 2)]
    controller.step(0.2)
    for index, mask, after, weight in zip((0, 2), before, masks(controller), moved, strict=True):
        gradient = dense[index].weight.grad.abs()
        fraction = 0.25 * (1 + np.cos(np.pi * 0.2))
        expected = rewired(torch.from_numpy(mask), torch.from_numpy(weight), gradient, fraction, per_row=fan_in).numpy()
        np.testing.assert_array_equal(after, expected)
        assert (after != mask).any()
        assert after.sum() == mask.sum()
        grown = after & ~mask
        original = model[index].parametrizations.weight.original
        assert not original.detach().numpy()[grown].any()
        assert not optimizer.state[original]["momentum_buffer"].numpy()[grown].any()
    backward()
    optimizer.step()
    assert model[0].weight.detach().numpy()[masks(controller)[0] & ~before[0]].any()  # what has grown learns


def test_rigl_without_an_attached_optimizer_grows_the_same():
    results = []
    for attached in (True, False):
        model = two_layers()
        controller = kinds.sparse(model, 0.7, "rigl", every=1, until=1.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        if attached:
            controller.attach(optimizer)
        torch.manual_seed(1)
        for step in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, 12)).square().sum().backward()
            optimizer.step()
            controller.step((step + 1) / 4)
        results.append(masks(controller))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_overflow_puts_the_update_off():
    model = two_layers()
    controller = kinds.sparse(model, 0.7, "rigl", every=2, until=1.0)
    before = [mask.copy() for mask in masks(controller)]
    controller.step(0.1)
    model(torch.full((1, 12), float("inf"))).sum().backward()
    controller.step(0.2)
    for mask, old in zip(masks(controller), before, strict=True):
        np.testing.assert_array_equal(mask, old)
    model.zero_grad()
    model(torch.randn(4, 12)).square().sum().backward()
    controller.step(0.3)
    assert any((mask != old).any() for mask, old in zip(masks(controller), before, strict=True))


@pytest.mark.parametrize("method", ["set", "rigl"])
def test_updates_come_at_shares_of_training(method):
    model = two_layers()
    controller = kinds.sparse(model, 0.7, method, every=0.1, until=0.65)
    changes = []
    for step in range(50):
        before = [mask.copy() for mask in masks(controller)]
        model.zero_grad()
        model(torch.randn(8, 12)).square().sum().backward()
        controller.step((step + 1) / 50)
        if any((mask != old).any() for mask, old in zip(masks(controller), before, strict=True)):
            changes.append(step + 1)
    assert changes == [5, 10, 15, 20, 25]  # at step 30 the cosine leaves less than one connection to drop


def test_masks_depend_on_the_seed_and_the_name_alone():
    first = masks(kinds.sparse(two_layers(), 0.8, "set", seed=3))
    again = masks(kinds.sparse(two_layers(seed=9), 0.8, "set", seed=3))
    other = masks(kinds.sparse(two_layers(), 0.8, "set", seed=4))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()


def test_rescaled_weights_keep_the_variance_of_outputs():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1000, 50, bias=False))
    before = model(torch.randn(200, 1000)).detach().var()
    kinds.sparse(model, 0.9, "rigl", rescale=True)
    assert float(model(torch.randn(200, 1000)).detach().var() / before) == pytest.approx(1, abs=0.15)


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


def test_structured_takes_whole_outputs_but_not_the_last():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10), nn.Linear(10, 3))
    norms = [layer.weight.detach().flatten(1).norm(dim=1).numpy() for layer in (model[0], model[3])]
    controller = kinds.sparse(model, 0.5, "structured", **AT_ONCE)
    assert [site.name for site in controller.sites] == ["0.weight", "3.weight"]
    for norm, mask in zip(norms, masks(controller), strict=True):
        flat = mask.reshape(len(mask), -1)
        assert (flat.all(1) | ~flat.any(1)).all()
        np.testing.assert_array_equal(flat.all(1), norm >= np.sort(norm)[len(norm) // 2])


# --- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 0.5, "n": 2, "m": 4, "block": (2, 2)}, "one pattern"),
        ({"n": 2}, "1 <= n < m"),
        ({"n": 4, "m": 4}, "1 <= n < m"),
        ({"n": 2, "m": 4, "sparsity": 0.7}, "sparsity of 0.5, not 0.7"),
        ({"n": 2, "m": 4, "scope": "erk"}, "scope is layer"),
        ({"sparsity": 0.5, "block": (0, 2)}, "pair of whole numbers"),
        ({"sparsity": 0.5, "block": 4}, "pair of whole numbers"),
        ({"sparsity": 0.5, "fan_in": 3}, "fan_in is True or False"),
        ({"sparsity": True}, "sparsity is a share"),
        ({"method": "rigel", "sparsity": 0.5}, "did you mean 'rigl'"),
        ({"method": "rigl"}, "needs the option 'sparsity'"),
        ({"method": "rigl", "sparsity": 0.5, "every": 0}, "every is a share"),
        ({"method": "rigl", "sparsity": 0.5, "every": 1.5}, "every is a share"),
        ({"method": "rigl", "sparsity": 0.5, "drop": 1.5}, "drop is a share"),
        ({"method": "set", "sparsity": 0.5, "seed": 0.5}, "whole number"),
        ({"method": "set", "sparsity": 0.5, "distribution": "er"}, "unknown distribution"),
        ({"method": "l0"}, "needs the option 'strength'"),
        ({"method": "l0", "sparsity": 0.5, "strength": 1.0}, "unknown option of"),
        ({"method": "l0", "strength": -1.0}, "at least 0"),
        ({"method": "l0", "strength": 1.0, "dropped": 1.0}, "below 1"),
        ({"method": "l1", "strength": "a lot"}, "finite number"),
        ({"method": "group_lasso", "strength": 1.0, "by": "filters"}, "no weight can be sparse"),
        ({"method": "spred", "strength": 1.0, "threshold": -1.0}, "at least 0"),
    ],
)
def test_mistakes_get_one_line(options, message):
    model = two_layers()
    with pytest.raises(InputError, match=message) as caught:
        kinds.sparse(model, **options)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        kinds.apply(model, "sparse", **options)
    assert not hasattr(model[0], "parametrizations")


@pytest.mark.parametrize("method", ["magnitude", "set", "rigl", "movement", "structured"])
def test_nothing_and_one_element(method):
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    controller = kinds.sparse(model, 0.5, method)
    model(torch.ones(1, 1)).sum().backward()
    controller.step(1.0)
    empty = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    empty[0].weight = nn.Parameter(torch.empty(0, 2))
    empty[0].bias = nn.Parameter(torch.empty(0))
    kinds.sparse(empty, 0.5, method, include="0.weight").step(1.0)
