import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from weightsmith.errors import InputError
from weightsmith.kernels.step import weight_statistics
from weightsmith.recording import device
from weightsmith.recording.measure import StepMeasurement, locate_non_finite, take_gradient_sketches, take_sketch
from weightsmith.recording.watched import named_models, watch


def watched_of(model, include="*", exclude=()):
    return watch(named_models(model), include, exclude)


def measure(model, change):
    measurement = StepMeasurement(watched_of(model))
    measurement.before()
    measurement.gradients()
    with torch.no_grad():
        change()
    return {one.watched.name: one for one in measurement.after()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_statistics_equal_numpy(dtype):
    torch.manual_seed(0)
    model = nn.Linear(40, 30).to(dtype)
    before = model.weight.detach().double().numpy().copy()
    gradient = torch.randn(30, 40).to(dtype)
    model.weight.grad = gradient

    def change():
        model.weight.add_(torch.randn(30, 40).to(dtype) * 0.05)
        model.weight[0, :3] = 0.0

    numbers = measure(model, change)["weight"]
    after = model.weight.detach().double().numpy()
    expected = [
        np.sum(after**2),
        np.sum((after - before) ** 2),
        np.sum(before**2),
        np.sum(np.sign(after) * np.sign(before) < 0),
        np.sum(after == 0),
        0,
    ]
    np.testing.assert_allclose(np.asarray(numbers.numbers, dtype=float), expected, rtol=1e-12)
    squares = np.sum(gradient.double().numpy() ** 2)
    np.testing.assert_allclose(np.asarray(numbers.gradient, dtype=float), [squares, 0], rtol=1e-12)
    assert numbers.size == 1200


def test_device_statistics_equal_the_compiled_ones():
    random = np.random.default_rng(0)
    after, before = random.standard_normal((2, 500)).astype(np.float32)
    after[[3, 9]], before[5], after[7] = [np.nan, -np.inf], np.nan, 0.0
    found = device.weight_statistics(torch.from_numpy(after), torch.from_numpy(before))
    np.testing.assert_allclose(found.numpy(), weight_statistics(after, before), rtol=1e-12)
    square, non_finite = device.squared_norm(torch.from_numpy(after)).tolist()
    assert square == pytest.approx(found[0].item(), rel=1e-12)
    assert non_finite == 2


def test_memory_order_does_not_matter():
    weight = nn.Conv2d(3, 8, 5).to(memory_format=torch.channels_last)
    weight.weight.grad = torch.randn(8, 3, 5, 5)  # the other order
    found = measure(weight, lambda: weight.weight.neg_())["weight"]
    assert found.numbers.sign_flips == 600
    assert found.numbers.update_square == pytest.approx(4 * found.numbers.previous_square)


def test_weights_without_gradient_and_frozen_ones():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].requires_grad_(False)
    found = measure(model, lambda: None)
    assert set(found) == {"0.weight", "0.bias"}
    assert all(one.gradient is None for one in found.values())


def test_complex_weights():
    model = nn.Module()
    model.weight = nn.Parameter(torch.tensor([3 + 4j, 1j]))
    numbers = measure(model, lambda: model.weight.mul_(2))["weight"].numbers
    assert numbers.tolist()[:3] == [104.0, 26.0, 26.0]
    assert take_sketch(model.weight).norm == pytest.approx(np.sqrt(104))


def test_sparse_gradients():
    model = nn.Embedding(10, 4, sparse=True)
    model(torch.tensor([2, 2, 5])).sum().backward()
    found = measure(model, lambda: None)["weight"]
    assert found.gradient == (4 * 4.0 + 4 * 1.0, 0)
    sketch = take_gradient_sketches(watched_of(model)[0])[0]
    assert (sketch.count, sketch.zeros, sketch.sum) == (40, 32, 12.0)


def test_parametrized_weight_moves_as_its_original_and_reads_as_the_effective_one():
    class Sign(nn.Module):
        def forward(self, weight):
            return weight.sign() * 0.5

    model = nn.Linear(3, 3, bias=False)
    parametrize.register_parametrization(model, "weight", Sign(), unsafe=True)
    original = model.parametrizations.weight.original
    with torch.no_grad():
        original.copy_(torch.arange(1.0, 10.0).reshape(3, 3))
    found = measure(model, lambda: original[0].neg_())["weight"]
    assert found.numbers.sign_flips == 3
    assert found.numbers.update_square == 4 * (1 + 4 + 9)
    assert found.effective == (9 * 0.25, 0, 0)
    value = watched_of(model)[0].value()
    assert not value.requires_grad
    assert torch.equal(value, torch.where(original > 0, 0.5, -0.5))


def test_weight_norm_counts_both_originals():
    model = parametrizations.weight_norm(nn.Linear(3, 2, bias=False))
    (watched,) = watched_of(model)
    assert watched.name == "weight"
    originals = watched.originals()
    for original in originals:
        original.grad = torch.ones_like(original)
    found = measure(model, lambda: [original.mul_(2) for original in originals])["weight"]
    assert found.size == 2 + 6
    assert found.gradient == (8.0, 0)
    assert found.numbers[1] == pytest.approx(found.numbers[2])


def test_reading_a_spectral_norm_leaves_its_state_alone():
    model = parametrizations.spectral_norm(nn.Linear(5, 4, bias=False))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    (watched,) = watched_of(model)
    for _ in range(3):
        watched.value()
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert model.parametrizations.weight.training


def test_reading_inside_a_cached_block_keeps_its_gradient():
    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

    model = nn.Linear(2, 2, bias=False)
    parametrize.register_parametrization(model, "weight", Double())
    (watched,) = watched_of(model)
    with parametrize.cached():
        watched.value()
        assert model.weight.requires_grad


def test_loss_scale_is_divided_out():
    model = nn.Linear(2, 1, bias=False)
    model.weight.grad = torch.full((1, 2), 1024.0)
    measurement = StepMeasurement(watched_of(model))
    measurement.before()
    measurement.gradients(torch.tensor(1024.0))
    assert measurement.after()[0].gradient == (2.0, 0)


def test_non_finite_gradient_is_located():
    model = nn.Linear(4, 3, bias=False)
    model.weight.grad = torch.zeros(3, 4)
    model.weight.grad[1, 2] = torch.nan
    assert measure(model, lambda: None)["weight"].gradient_index == 6


def test_locate_non_finite():
    tensor = torch.ones(3, 4)
    assert locate_non_finite(tensor) is None
    tensor[2, 1] = -torch.inf
    assert locate_non_finite(tensor.bfloat16()) == 9


def test_sketches_keep_16_bit_types():
    weight = nn.Parameter(torch.tensor([1.0, 2.0, 2.0], dtype=torch.bfloat16))
    sketch = take_sketch(weight)
    assert sketch.exact
    assert sketch.counts.tolist() == [1, 2]
    assert np.dtype(ml_dtypes.bfloat16).itemsize == 2


def test_watch_takes_tied_weights_once_and_leaves_out_empty_and_meta_ones():
    model = nn.Module()
    model.a = nn.Linear(3, 3, bias=False)
    model.b = nn.Linear(3, 3, bias=False)
    model.b.weight = model.a.weight
    model.empty = nn.Module()
    model.empty.weight = nn.Parameter(torch.empty(0, 3))
    model.meta = nn.Linear(2, 2, device="meta")
    assert [one.name for one in watched_of(model)] == ["a.weight"]


def test_watch_by_name():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert [one.name for one in watched_of(model, "1", "*.bias")] == ["1.weight"]
    with pytest.raises(InputError, match="no weight to record"):
        watched_of(model, "encoder")


def test_several_models_and_shared_modules():
    body = nn.Linear(2, 2, bias=False)
    models = {"first": nn.Sequential(body), "second": nn.Sequential(body, nn.Linear(2, 1, bias=False))}
    assert [one.name for one in watched_of(models)] == ["first.0.weight", "second.1.weight"]
    with pytest.raises(InputError, match="model 'second' is a int"):
        named_models({"first": body, "second": 1})


def test_deferred_results_arrive_in_order_and_one_exchange_later():
    deferred = device.Deferred(lambda activity, seconds: None)
    received = []
    deferred.add(torch.tensor([1, 2]), received.append)
    deferred.add(torch.tensor(3.0), received.append)
    deferred.exchange()
    assert received == []
    deferred.add(torch.tensor(4.0), received.append)
    deferred.exchange()
    assert received == [[1.0, 2.0], [3.0]]
    deferred.drain()
    assert received[2:] == [[4.0]]


def test_statistics_of_a_large_weight_are_those_of_its_parts(monkeypatch):
    torch.manual_seed(0)
    after, before = torch.randn(2, 9, 13)
    after[3, 3], before[8, 8] = torch.nan, torch.inf
    weights, norm = device.weight_statistics(after, before), device.squared_norm(after)
    monkeypatch.setattr(device, "_CHUNK", 10)
    torch.testing.assert_close(device.weight_statistics(after, before), weights, rtol=1e-14, atol=0)
    torch.testing.assert_close(device.squared_norm(after), norm, rtol=1e-14, atol=0)
