"""Series of binary, ternary and sparse weights, against NumPy on the same values."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import entropy
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

import weightsmith as ws
from weightsmith.recording.discrete import MEMORY, OFTEN, kinds_of, latent_of, row_entropy
from weightsmith.recording.measure import StepMeasurement
from weightsmith.recording.watched import named_models, watch
from weightsmith.store import Store


class Sign(nn.Module):
    kind = "binary"

    def forward(self, latent):
        return torch.where(latent >= 0, 1.0, -1.0).to(latent.dtype) * 0.3 + (latent - latent.detach())


class Threshold(nn.Module):
    kind = "ternary"

    def forward(self, latent):
        return latent.sign() * (latent.abs() > 0.5)


class Keep(nn.Module):
    kind = "sparse"

    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight):
        return torch.where(self.mask, weight, 0.0)


def layer(parametrization, rows=4, columns=6, dtype=torch.float32):
    model = nn.Linear(columns, rows, bias=False, dtype=dtype)
    parametrize.register_parametrization(model, "weight", parametrization)
    return model


class Steps:
    """Steps of one weight, each measured."""

    def __init__(self, model, start=None):
        if start is not None:
            with torch.no_grad():
                watch(named_models(model), "*", ())[0].originals()[0].copy_(start)
        self.watched = watch(named_models(model), "*", ())
        self.measurement = StepMeasurement(self.watched)
        self.original = self.watched[0].originals()[0]

    def take(self, after=None):
        """Move the latent weight to `after` and give the series of that step."""
        self.measurement.before()
        with torch.no_grad():
            if after is not None:
                self.original.copy_(torch.as_tensor(after))
        (step,) = self.measurement.after()
        return {
            name: value for look in step.discrete for name, value in zip(look.names, look.numbers.tolist(), strict=True)
        }


def test_continuous_weights_have_no_such_series():
    model = nn.Linear(3, 2, bias=False)
    steps = Steps(model)
    assert steps.take() == {}
    assert not steps.measurement.signs
    assert not steps.measurement.masks


def test_kinds_are_found_by_their_attribute():
    model = layer(Sign())
    parametrize.register_parametrization(model, "weight", Keep(torch.ones(4, 6, dtype=torch.bool)))
    (watched,) = watch(named_models(model), "*", ())
    assert kinds_of(watched) == {"binary", "sparse"}
    assert latent_of(watched) is not None
    (plain,) = watch(named_models(nn.Linear(2, 2, bias=False)), "*", ())
    assert latent_of(plain) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_flips_are_of_the_values_used_and_not_of_the_latent_ones(dtype):
    steps = Steps(layer(Sign(), dtype=dtype))
    start = torch.linspace(-1, 1, 24).reshape(4, 6)
    steps.take(start)
    found = steps.take(start * 0.5)
    assert found["flip_rate"] == 0
    flipped = start.clone()
    flipped[0] *= -1
    assert steps.take(flipped)["flip_rate"] == pytest.approx(6 / 24)


def test_a_latent_zero_counts_as_positive():
    steps = Steps(layer(Sign()))
    steps.take(torch.full((4, 6), 0.1))
    assert steps.take(torch.zeros(4, 6))["flip_rate"] == 0


def test_a_change_to_and_from_zero_is_a_flip_of_a_ternary_weight():
    steps = Steps(layer(Threshold()))
    steps.take(torch.full((4, 6), 0.6))
    found = steps.take(torch.full((4, 6), 0.4))
    assert found["flip_rate"] == 1
    assert found["unflipped"] == 0


def test_weights_that_flip_back_and_forth_oscillate_and_others_do_not():
    steps = Steps(layer(Sign()), torch.full((4, 6), 0.2))
    frequency = np.zeros(24)
    flipped_before = np.zeros(24, bool)
    signs = np.ones(24)
    rates = np.array([0.0] * 8 + [0.15] * 8 + [1.0] * 8)  # never, sometimes, at every step
    random = np.random.default_rng(0)
    for _ in range(30):
        flips = random.random(24) < rates
        signs = np.where(flips, -signs, signs)
        frequency += MEMORY * ((flips & flipped_before) - frequency)
        flipped_before |= flips
        found = steps.take(0.2 * torch.from_numpy(signs).float().reshape(4, 6))
        assert found["flip_rate"] == pytest.approx(flips.mean())
        assert found["oscillating"] == pytest.approx((frequency > OFTEN).mean())
        assert found["unflipped"] == pytest.approx(1 - flipped_before.mean())
    assert 8 / 24 <= found["oscillating"] <= 16 / 24


def test_a_single_flip_is_no_oscillation_and_two_flips_back_are():
    steps = Steps(layer(Sign()), torch.full((4, 6), 0.2))
    found = [steps.take(torch.full((4, 6), value))["oscillating"] for value in (0.2, -0.2, 0.2, -0.2, -0.2)]
    assert found == [0, 0, 0, 1, 1]


def test_flips_between_measured_steps_count_as_moves():
    steps = Steps(layer(Sign()), torch.full((4, 6), 0.2))
    steps.take()
    with torch.no_grad():
        steps.original[0].neg_()
    found = steps.take()
    assert found["flip_rate"] == 0
    assert found["unflipped"] == pytest.approx(18 / 24)


def test_latents_are_stuck_where_a_step_keeps_them_at_their_bound():
    steps = Steps(layer(Sign()))
    start = torch.zeros(4, 6)
    start[0], start[1], start[2] = 1.0, -1.0, 1.0
    steps.take(start)
    after = start.clone()
    after[0], after[1], after[2], after[3] = 1.2, -1.0, 0.9, 1.0  # pushed out, kept, let go, arrived
    assert steps.take(after)["stuck"] == pytest.approx(12 / 24)


@given(arrays.arrays(np.int8, st.tuples(st.integers(1, 6), st.integers(1, 40)), elements=st.sampled_from([-1, 0, 1])))
def test_entropy_equals_scipy(signs):
    expected = [entropy([np.sum(row == value) for value in (-1, 0, 1)], base=2) for row in signs]
    np.testing.assert_allclose(row_entropy(torch.from_numpy(signs)).numpy(), expected, atol=1e-12)


def test_sign_entropy_is_of_the_layer_and_of_its_output_channels():
    steps = Steps(layer(Sign()))
    latent = torch.full((4, 6), 0.5)
    latent[1:, :3] = -0.5
    found = steps.take(latent)
    assert found["sign_entropy"] == pytest.approx(entropy([9, 15], base=2))
    assert found["sign_entropy_least"] == 0
    assert found["sign_entropy_mean"] == pytest.approx(0.75)


def test_nan_counts_as_no_sign():
    steps = Steps(layer(Threshold()))
    found = steps.take(torch.full((4, 6), float("nan")))
    assert all(math.isfinite(value) for value in found.values())


def test_channels_of_a_transposed_convolution_lie_on_its_second_axis():
    model = nn.ConvTranspose1d(3, 2, 2, bias=False)
    parametrize.register_parametrization(model, "weight", Sign())
    latent = torch.ones(3, 2, 2)
    latent[:2, 1] = -1
    found = Steps(model).take(latent)
    assert found["sign_entropy_mean"] == pytest.approx(entropy([4, 2], base=2) / 2)


def test_masks_are_compared_with_the_last_and_with_the_first():
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[:2] = True
    model = layer(Keep(mask))
    steps = Steps(model)
    kept = model.parametrizations.weight[0].mask
    assert steps.take() == {"mask_churn": 0, "mask_overlap": 1, "mask_overlap_first": 1}
    kept[1], kept[2] = False, True
    assert steps.take() == pytest.approx({"mask_churn": 0.5, "mask_overlap": 1 / 3, "mask_overlap_first": 1 / 3})
    assert steps.take() == pytest.approx({"mask_churn": 0, "mask_overlap": 1, "mask_overlap_first": 1 / 3})
    kept[0], kept[3] = False, True
    assert steps.take()["mask_overlap_first"] == 0


def test_without_a_mask_of_its_own_the_zeros_of_a_sparse_weight_are_one():
    class Shrink(nn.Module):
        kind = "sparse"

        def forward(self, weight):
            return F.softshrink(weight, 0.5)

    steps = Steps(layer(Shrink()))
    steps.take(torch.ones(4, 6))
    with torch.no_grad():
        steps.original[0] = 0.1
    assert steps.take()["mask_churn"] == pytest.approx(6 / 24)


def test_memory_survives_a_new_share_of_the_weights():
    model = layer(Sign())
    steps = Steps(model)
    steps.take(torch.full((4, 6), 0.2))
    steps.take(torch.full((4, 6), -0.2))
    steps.measurement = StepMeasurement(steps.watched, steps.measurement.signs, steps.measurement.masks)
    assert steps.take()["unflipped"] == 0


@pytest.mark.parametrize("with_optimizer", [True, False])
def test_series_and_latent_sketches_reach_the_run(tmp_path, with_optimizer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    binary = ws.kinds.binary(model, include="2.weight")
    sparse = ws.kinds.sparse(model, 0.5, include="0.weight", start=0.2, end=0.6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with (
        Store.open(tmp_path / "runs") as store,
        ws.record(model, optimizer if with_optimizer else None, budget=math.inf, store=store) as recorder,
    ):
        for step in range(20):
            loss = F.cross_entropy(model(torch.randn(16, 6)), torch.randint(0, 3, (16,)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for controller in (binary, sparse):
                controller.step((step + 1) / 20)
            recorder.step(loss=loss)
        run = recorder.run
        rates = run.series("flip_rate", "2.weight").values
        assert len(rates) >= 19
        assert rates.max() > 0
        assert len(run.series("flip_rate", "0.weight")) == 0
        churn = run.series("mask_churn", "0.weight").values
        assert churn.sum() == pytest.approx(0.5)
        assert run.series("mask_overlap_first", "0.weight").values[-1] == pytest.approx(0.5)
        assert {step for step, _ in run.sketches("2.weight", "latent")} == {
            step for step, _ in run.sketches("2.weight")
        }
        assert run.sketches("2.weight", "latent")[-1][1].maximum <= 1
        assert not run.sketches("0.weight", "latent")
