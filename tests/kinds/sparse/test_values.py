"""Masks of each method, compared with what NumPy says they should be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from weightsmith import kinds
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
