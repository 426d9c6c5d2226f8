import inspect
import math
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from weightsmith import init
from weightsmith.errors import InputError

N = (1000, 1000)
LEAST_P = 1e-4


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().flatten().numpy()


# --- drop-in for torch


def test_every_function_of_torch_is_here_under_its_name_and_signature():
    theirs = {name for name in torch.nn.init.__all__ if name.endswith("_")} | {"calculate_gain"}
    for name in theirs:
        assert name in init.__all__
        expected = inspect.signature(getattr(torch.nn.init, name)).parameters
        given = inspect.signature(getattr(init, name)).parameters
        assert list(given) == list(expected)
        assert [p.default for p in given.values()] == [p.default for p in expected.values()], name


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (6, 4, 3, 3)])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("uniform_", {"a": -1, "b": 2}),
        ("normal_", {"mean": 1, "std": 3}),
        ("xavier_uniform_", {"gain": 1.5}),
        ("xavier_normal_", {}),
        ("kaiming_uniform_", {"a": math.sqrt(5)}),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
        ("orthogonal_", {"gain": 2.0}),
    ],
)
def test_same_numbers_as_torch_and_same_from_the_global_generator(name, arguments, shape):
    ours, theirs, of_global = (torch.empty(shape) for _ in range(3))
    getattr(init, name)(ours, **arguments, generator=seeded(3))
    getattr(torch.nn.init, name)(theirs, **arguments, generator=seeded(3))
    torch.manual_seed(3)
    getattr(init, name)(of_global, **arguments)
    assert torch.equal(ours, theirs)
    assert torch.equal(ours, of_global)


@pytest.mark.parametrize(
    "function",
    [
        init.trunc_normal_,
        init.truncated_normal_,
        init.lecun_normal_,
        init.lecun_uniform_,
        partial(init.sparse_, sparsity=0.5),
    ],
)
def test_generator_gives_what_the_global_one_would(function):
    ours, of_global = torch.empty(20, 10), torch.empty(20, 10)
    state = torch.get_rng_state()
    function(ours, generator=seeded(42))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(42)
    function(of_global)
    assert torch.equal(ours, of_global)


def test_requires_grad_parameters_are_filled_without_a_trace():
    for function in (init.xavier_normal_, init.orthogonal_, init.trunc_normal_, init.eye_, init.ones_):
        parameter = torch.nn.Parameter(torch.empty(4, 3))
        assert function(parameter) is parameter
        assert parameter.grad_fn is None


# --- distributions, against SciPy


@pytest.mark.parametrize("shape", [N, (100, 50, 10, 20)])
@pytest.mark.parametrize(
    ("name", "distribution", "variance"),
    [
        ("xavier_uniform_", "uniform", lambda i, o: 2 / (i + o)),
        ("xavier_normal_", "norm", lambda i, o: 2 / (i + o)),
        ("kaiming_uniform_", "uniform", lambda i, o: 2 / i),
        ("kaiming_normal_", "norm", lambda i, o: 2 / i),
        ("lecun_uniform_", "uniform", lambda i, o: 1 / i),
        ("lecun_normal_", "norm", lambda i, o: 1 / i),
    ],
)
def test_distribution(name, distribution, variance, shape):
    tensor = torch.empty(shape)
    getattr(init, name)(tensor, generator=seeded(1))
    receptive = math.prod(shape[2:])
    std = math.sqrt(variance(shape[1] * receptive, shape[0] * receptive))
    arguments = (0, std) if distribution == "norm" else (-math.sqrt(3) * std, 2 * math.sqrt(3) * std)
    assert stats.kstest(flat(tensor), distribution, args=arguments).pvalue > LEAST_P


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0, 1, -2, 2),
        (0, 0.02, -0.04, 0.04),
        (3, 2, -1, 3.5),
        (0, 1, 2, 3),
        (0, 1, -9, -7),
        (0, 1, 0.1, math.inf),
        (1, 0.1, -5, 5),
    ],
)
def test_truncated_normal_against_scipy(mean, std, a, b):
    tensor = torch.empty(300_000, dtype=torch.float64)
    init.trunc_normal_(tensor, mean, std, a, b, generator=seeded(5))
    expected = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    assert stats.kstest(flat(tensor), expected.cdf).pvalue > LEAST_P
    assert tensor.min() >= a
    assert tensor.max() <= b


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bound", [0.3, 0.7, 1 / 3])
def test_truncated_normal_never_leaves_its_bounds_in_any_dtype(dtype, bound):
    tensor = torch.empty(200_000, dtype=dtype)
    init.trunc_normal_(tensor, a=-bound, b=bound, generator=seeded(2))
    # compared in float64: a bound that rounds outward would show
    assert tensor.double().abs().max().item() <= bound
    assert (tensor.double().abs() > 0.95 * bound).any()
    assert tensor.unique().numel() > 100


def test_truncated_normal_in_standard_deviations():
    tensor = torch.empty(N)
    init.truncated_normal_(tensor, std=0.02, generator=seeded(0))
    assert tensor.abs().max() <= 0.04
    assert tensor.std().item() == pytest.approx(stats.truncnorm(-2, 2, 0, 0.02).std(), rel=0.01)


@pytest.mark.parametrize(
    ("std", "a", "b"), [(0.0, -1, 1), (1.0, 2, 1), (1.0, 1, 1), (1.0, 50, 60), (float("nan"), -1, 1)]
)
def test_truncated_normal_refuses_what_has_no_mass(std, a, b):
    with pytest.raises(InputError, match=r"truncated normal needs|no mass"):
        init.trunc_normal_(torch.empty(3), 0.0, std, a, b)


# --- orthogonal


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(40, 40), (30, 50), (50, 30), (8, 3, 3, 3), (1, 1), (5, 1)])
def test_orthogonal(shape, dtype):
    tensor = torch.empty(shape, dtype=dtype)
    init.orthogonal_(tensor, gain=2, generator=seeded(0))
    matrix = flat(tensor).reshape(shape[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}[dtype]
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=tolerance)


def test_orthogonal_is_uniform_over_the_group():
    generator = seeded(0)
    entries = [init.orthogonal_(torch.empty(2, 2), generator=generator)[0, 0].item() for _ in range(3000)]
    # the first entry of a uniform 2x2 orthogonal matrix is the cosine of a uniform angle
    assert stats.kstest(entries, "arcsine", args=(-1, 2)).pvalue > LEAST_P


def test_sixteen_bits_are_the_float32_draw_rounded_once():
    exact = init.orthogonal_(torch.empty(9, 6), generator=seeded(1))
    for dtype in (torch.bfloat16, torch.float16):
        assert torch.equal(init.orthogonal_(torch.empty(9, 6, dtype=dtype), generator=seeded(1)), exact.to(dtype))


# --- sparse, identity, dirac


@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.9, 1.0])
def test_sparse(sparsity):
    tensor = init.sparse_(torch.empty(333, 200), sparsity, std=0.5, generator=seeded(1))
    zeros = (tensor == 0).sum(0)
    assert (zeros == math.ceil(sparsity * 333)).all()
    if sparsity < 1:
        assert stats.kstest(flat(tensor[tensor != 0]), "norm", args=(0, 0.5)).pvalue > LEAST_P
    if sparsity == 0.25:  # each place is as likely as another
        counts = (tensor == 0).sum(1).numpy()
        assert stats.chisquare(counts, np.full(333, counts.mean())).pvalue > LEAST_P


def test_identity_and_dirac_pass_signals_on():
    x = torch.randn(2, 6, 5, 5)
    kernel = init.dirac_(torch.empty(6, 3, 3, 3), groups=2)
    torch.testing.assert_close(torch.nn.functional.conv2d(x, kernel, padding=1, groups=2), x)
    assert torch.equal(init.eye_(torch.empty(3, 5)), torch.eye(3, 5))


# --- edges


@pytest.mark.parametrize(
    "name", ["xavier_normal_", "kaiming_uniform_", "orthogonal_", "trunc_normal_", "lecun_normal_"]
)
def test_non_contiguous_tensors_are_filled_in_place(name):
    whole = torch.full((8, 12), 7.0)
    view = whole.t()[::2]
    getattr(init, name)(view, generator=seeded(0))
    assert (view != 7).all()
    assert (whole[:, 1::2] == 7).all()


def test_orthogonal_in_channels_last_memory():
    tensor = torch.empty(8, 4, 3, 3).to(memory_format=torch.channels_last)
    plain = init.orthogonal_(torch.empty(8, 4, 3, 3), generator=seeded(0))
    assert torch.equal(init.orthogonal_(tensor, generator=seeded(0)), plain)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize(
    "name", [n for n in init.__all__ if n.endswith("_") and n not in ("dirac_", "sparse_", "constant_")]
)
def test_tensors_without_elements(name, shape):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(init, name)(torch.empty(shape))
    assert bool(caught) == name.startswith("kaiming")


@pytest.mark.parametrize("name", [n for n in init.__all__ if n.startswith(("xavier", "kaiming", "lecun", "orthog"))])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_too_few_dimensions(name, shape):
    with pytest.raises(InputError, match=r"two or more dimensions, not of shape \("):
        getattr(init, name)(torch.empty(shape))


@pytest.mark.parametrize(
    "name", [n for n in init.__all__ if n.endswith("_") and n not in ("dirac_", "sparse_", "constant_")]
)
def test_meta_tensors_are_left_alone(name):
    tensor = torch.empty(4, 4, device="meta")
    assert getattr(init, name)(tensor).is_meta


def test_sparse_refuses():
    with pytest.raises(InputError, match="two dimensions"):
        init.sparse_(torch.empty(2, 2, 2), 0.5)
    with pytest.raises(InputError, match="share from 0 to 1, not 90"):
        init.sparse_(torch.empty(2, 2), 90)


def test_unknown_mode():
    with pytest.raises(InputError, match="unknown mode 'fan_avg'"):
        init.kaiming_normal_(torch.empty(2, 2), mode="fan_avg")


@pytest.mark.parametrize("fill", [init.orthogonal_, init.trunc_normal_, init.truncated_normal_])
@pytest.mark.parametrize("dtype", [torch.int64, torch.complex64])
def test_what_cannot_hold_a_real_draw_is_refused(fill, dtype):
    with pytest.raises(InputError, match=str(dtype).removeprefix("torch.")):
        fill(torch.zeros(3, 3, dtype=dtype))
