"""Each estimator's gradient by autograd against its published formula in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError
from weightsmith.kinds.binary.estimators import Estimator, pass_through, two_values

LATENT = np.concatenate([np.linspace(-3, 3, 121), [-0.1, 0.1, -1.0, 1.0, -1.5, 1.5, 0.0, -0.0, 50.0, -1e4]])


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def swish_sign(x, beta):
    """The function of BNN+ itself, whose derivative the estimator takes."""
    return 2 * sigmoid(beta * x) * (1 + beta * x * (1 - sigmoid(beta * x))) - 1


def power(x, exponent):
    return np.sign(x) * np.abs(x) ** (1 / exponent)


def difference(function, x, step=1e-6):
    return (function(x + step) - function(x - step)) / (2 * step)


def reste(x, progress, end=3.0, cutoff=1.5):
    exponent = 1 + progress * (end - 1)
    outside = difference(lambda z: power(z, exponent), np.where(np.abs(x) > 0.1, x, 0.5))
    slope = np.where(np.abs(x) <= 0.1, power(0.1, exponent) / 0.1, outside)
    return np.where(np.abs(x) <= cutoff, slope, 0.0)


FORMULAS = {
    "identity": lambda x: np.ones_like(x),
    "clipped": lambda x: (np.abs(x) <= 1).astype(float),
    # Bi-Real Net, equation 6: the derivative of a parabola on either side of zero
    "approx_sign": lambda x: np.select([(x >= -1) & (x < 0), (x >= 0) & (x < 1)], [2 + 2 * x, 2 - 2 * x], 0.0),
    "swish_sign": lambda x: difference(lambda z: swish_sign(z, 5.0), x),
}


def gradient(estimator, latent, progress=None, unit=1.0):
    values = torch.tensor(latent, dtype=torch.float64, requires_grad=True)
    share = None if progress is None else torch.tensor(progress, dtype=torch.float64)
    weights = torch.arange(1, values.numel() + 1, dtype=torch.float64).view(values.shape)
    result = pass_through(values, two_values(values, -1.0), estimator, share, unit)
    np.testing.assert_array_equal(result.detach().numpy(), np.where(np.asarray(latent) >= 0, 1.0, -1.0))
    (result * weights).sum().backward()
    return (values.grad / weights).numpy()


@pytest.mark.parametrize("name", FORMULAS)
def test_slopes_are_those_of_the_papers(name):
    np.testing.assert_allclose(gradient(Estimator(name), LATENT), FORMULAS[name](LATENT), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("end", "cutoff"), [(None, None), (5.0, 0.8), (1, 2.0)])
def test_reste_is_the_power_function_that_steepens(progress, end, cutoff):
    found = gradient(Estimator("reste", exponent=end, cutoff=cutoff), LATENT, progress)
    expected = reste(LATENT, progress, 3.0 if end is None else end, 1.5 if cutoff is None else cutoff)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    if progress == 0:
        assert set(found.tolist()) <= {0.0, 1.0}


def test_beta_is_the_steepness_of_swish_sign():
    found = gradient(Estimator("swish_sign", beta=2.0), LATENT)
    np.testing.assert_allclose(found, difference(lambda z: swish_sign(z, 2.0), LATENT), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["clipped", "approx_sign", "swish_sign", "reste"])
def test_the_unit_stretches_the_slope(name):
    plain, stretched = gradient(Estimator(name), LATENT, 0.5), gradient(Estimator(name), LATENT * 0.25, 0.5, 0.25)
    np.testing.assert_allclose(plain, stretched, rtol=1e-12)


@pytest.mark.parametrize("name", [*FORMULAS, "reste"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_slopes_are_finite_in_every_dtype(name, dtype):
    latent = torch.tensor([0.0, -1e-8, 0.5, 60.0, -3e4], dtype=dtype, requires_grad=True)
    result = pass_through(latent, two_values(latent, 0.0), Estimator(name), torch.tensor(0.7))
    assert result.dtype == dtype
    assert result.tolist() == [1.0, 1.0 if latent[1] == 0 else 0.0, 1.0, 1.0, 0.0]
    result.sum().backward()
    assert latent.grad.isfinite().all()


@given(arrays(np.float32, st.integers(0, 30), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)))
def test_activations_are_signs_in_evaluation(inputs):
    module = kinds.BinaryActivation().eval()
    np.testing.assert_array_equal(module(torch.from_numpy(inputs)).numpy(), np.where(inputs >= 0, 1.0, -1.0))


@pytest.mark.parametrize("name", [*FORMULAS, "reste"])
def test_activations_pass_the_gradient_of_their_estimator(name):
    module = kinds.BinaryActivation(name)
    module.settle(0.5)
    inputs = torch.tensor(LATENT, requires_grad=True)
    module(inputs).sum().backward()
    expected = reste(LATENT, 0.5) if name == "reste" else FORMULAS[name](LATENT)
    np.testing.assert_allclose(inputs.grad.numpy(), expected, rtol=1e-5, atol=1e-7)


def test_what_is_not_a_number_is_seen_while_gradients_are_taken():
    inputs = torch.tensor([float("nan"), 1.0], requires_grad=True)
    assert kinds.BinaryActivation()(inputs).isnan().tolist() == [True, False]


@pytest.mark.parametrize("shape", [(0, 3), (1,), (2, 0, 4)])
def test_activations_take_any_shape(shape):
    assert kinds.BinaryActivation()(torch.zeros(shape)).shape == shape
    assert kinds.BinaryActivation()(torch.zeros(5, 4)[:, ::2].t()).eq(1).all()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"estimator": "clip"}, "estimator"),
        ({"estimator": "proximal"}, "estimator"),
        ({"beta": 5.0}, "beta belongs to the estimator swish_sign, not to clipped"),
        ({"estimator": "swish_sign", "beta": 0.0}, "beta"),
        ({"estimator": "swish_sign", "exponent": 2.0}, "exponent"),
        ({"estimator": "reste", "exponent": 0.5}, "exponent"),
        ({"estimator": "reste", "cutoff": float("nan")}, "cutoff"),
        ({"estimator": "reste", "cutoff": "a"}, "cutoff"),
    ],
)
def test_mistakes_are_named(options, named):
    with pytest.raises(InputError, match=named) as caught:
        kinds.BinaryActivation(**options)
    assert "\n" not in str(caught.value)


def test_printed_modules_say_how():
    assert str(nn.Sequential(kinds.BinaryActivation("reste"))).count("estimator=reste") == 1
