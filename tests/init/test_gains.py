import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import integrate

from weightsmith import init
from weightsmith.errors import InputError
from weightsmith.init.gains import mean_square

# written out once more in NumPy, so that a wrong function in the table shows
SIGMOID = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
NUMPY = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "relu6": lambda z: np.clip(z, 0, 6),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "prelu": lambda z: np.where(z > 0, z, 0.25 * z),
    "rrelu": lambda z: np.where(z > 0, z, 11 / 48 * z),
    "gelu": lambda z: z * 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))),
    "silu": lambda z: z * SIGMOID(z),
    "mish": lambda z: z * np.tanh(np.logaddexp(0, z)),
    "hardswish": lambda z: z * np.clip(z + 3, 0, 6) / 6,
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "celu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "softplus": lambda z: np.logaddexp(0, z),
    "logsigmoid": lambda z: -np.logaddexp(0, -z),
    "tanhshrink": lambda z: z - np.tanh(z),
    "softshrink": lambda z: np.sign(z) * np.maximum(abs(z) - 0.5, 0),
    "hardshrink": lambda z: np.where(abs(z) > 0.5, z, 0),
    "selu": lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * np.expm1(np.minimum(z, 0))),
    "tanh": np.tanh,
    "hardtanh": lambda z: np.clip(z, -1, 1),
    "softsign": lambda z: z / (1 + abs(z)),
    "sigmoid": SIGMOID,
    "hardsigmoid": lambda z: np.clip(z / 6 + 0.5, 0, 1),
}


def by_scipy(name: str, gain: float) -> float:
    def integrand(u: float) -> float:
        return float(NUMPY[name](gain * u) ** 2) * math.exp(-u * u / 2) / math.sqrt(2 * math.pi)

    kinks = sorted(k / gain for k in (-3, -1, -0.5, 0, 0.5, 1, 3, 6) if abs(k / gain) < 12)
    return integrate.quad(integrand, -12, 12, points=kinks, limit=400, epsabs=1e-12)[0]


def test_the_oracle_covers_the_table():
    assert set(NUMPY) == set(init.ACTIVATIONS)


@pytest.mark.parametrize("gain", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("name", NUMPY)
def test_mean_square_against_scipy(name, gain):
    assert mean_square(name, gain) == pytest.approx(by_scipy(name, gain), rel=1e-9)


@pytest.mark.parametrize("name", [n for n, a in init.ACTIVATIONS.items() if a.family in ("rectifier", "smooth")])
def test_gain_keeps_the_mean_square(name):
    assert by_scipy(name, init.calculate_gain(name)) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("name", ["hardtanh", "softsign"])
def test_gain_of_bounded_activations(name):
    assert init.calculate_gain(name) == pytest.approx(1 / math.sqrt(by_scipy(name, 1.0)), rel=1e-9)


def test_selu_is_at_its_own_fixed_point():
    assert by_scipy("selu", 1.0) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["linear", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
def test_torchs_own_names_keep_torchs_values(name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)


@pytest.mark.parametrize("slope", [0, 0.01, 0.2, 10])
def test_leaky_relu_takes_its_slope(slope):
    assert init.calculate_gain("leaky_relu", slope) == torch.nn.init.calculate_gain("leaky_relu", slope)
    assert init.calculate_gain("prelu", slope) == init.calculate_gain("leaky_relu", slope)


def test_parameters_of_other_activations():
    assert init.calculate_gain("elu", 1e-9) == pytest.approx(math.sqrt(2), rel=1e-6)
    assert init.calculate_gain("elu", 0.5) != init.calculate_gain("elu")
    u = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    density = torch.exp(-u * u / 2) / math.sqrt(2 * math.pi)
    gain = init.calculate_gain("softplus", 3.0)
    assert torch.trapezoid(F.softplus(gain * u, 3.0) ** 2 * density, u).item() == pytest.approx(1, rel=1e-8)


def test_kaiming_takes_any_activation():
    weight = torch.empty(2000, 500)
    init.kaiming_normal_(weight, nonlinearity="elu", generator=torch.Generator().manual_seed(0))
    assert weight.std().item() == pytest.approx(init.calculate_gain("elu") / math.sqrt(500), rel=0.01)


def test_swish_is_silu():
    assert init.calculate_gain("swish") == init.calculate_gain("silu")


def test_mistakes():
    with pytest.raises(InputError, match=r"unknown nonlinearity 'gelo'.*did you mean 'gelu'"):
        init.calculate_gain("gelo")
    for parameter in (True, [1], "a"):
        with pytest.raises(InputError, match="must be a number"):
            init.calculate_gain("leaky_relu", parameter)
    with pytest.raises(InputError, match="whatever the weights"):
        init.calculate_gain("softplus", 0.1)
