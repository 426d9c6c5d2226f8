"""Weights on a GPU start with the very values that they start with on the CPU."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from weightsmith import init

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class Undecided(nn.Module):
    """Looks at values, so that nothing but a sample shows which activations follow; and draws as it runs."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 12), nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, inputs):
        hidden = torch.relu(self.first(inputs))
        if hidden.sum() >= 0:
            hidden = F.dropout(torch.tanh(self.second(hidden)))
        return self.last(hidden)


class Everything(nn.Module):
    """One layer of each role; it is never called."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8, padding_idx=0)
        self.recurrent = nn.LSTM(8, 12)
        self.attention = nn.MultiheadAttention(12, 3)
        self.convolution = nn.Conv2d(4, 6, 3, groups=2)
        self.transposed = nn.ConvTranspose2d(6, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(6)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(12, 5))


def assert_same(there, here):
    for (name, moved), kept in zip(there.state_dict().items(), here.state_dict().values(), strict=True):
        assert moved.device.type == "cuda", name
        assert torch.equal(moved.cpu(), kept), name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("scheme", init.SCHEMES)
def test_every_scheme_draws_the_values_of_the_cpu(cuda, scheme, dtype):
    here = nn.Conv2d(8, 8, 3, dtype=dtype) if scheme == "dirac" else nn.Linear(24, 16, dtype=dtype)
    there = copy.deepcopy(here).to(cuda)
    wish = {"weight": {"name": scheme, **({"val": 0.3} if scheme == "constant" else {})}}
    for model in (here, there):
        init.apply(model, wish, seed=3)
    assert_same(there, here)


def test_automatic_choices_draw_the_values_of_the_cpu(cuda):
    here = Everything()
    there = copy.deepcopy(here).to(cuda)
    assert str(init.apply(there, seed=5)) == str(init.apply(here, seed=5))
    for name, parameter in here.named_parameters():
        torch.testing.assert_close(there.get_parameter(name).cpu(), parameter, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize("place", ["cpu", "cuda"])
def test_a_sample_may_lie_on_either_device_and_its_run_leaves_no_trace(cuda, place):
    here = Undecided()
    there = copy.deepcopy(here).to(cuda)
    sample = torch.randn(5, 6)
    expected = init.apply(here, sample=sample)
    before = torch.cuda.get_rng_state(), torch.get_rng_state()
    found = init.apply(there, sample={"inputs": sample.to(place)})
    assert str(found) == str(expected)
    assert "followed by tanh" in str(found)
    assert torch.equal(torch.cuda.get_rng_state(), before[0])
    assert torch.equal(torch.get_rng_state(), before[1])
    assert_same(there, here)


def test_the_default_device_may_be_the_gpu(cuda):
    here = nn.Linear(24, 16)
    with torch.device(cuda):
        there = nn.Linear(24, 16)
        for scheme in ("truncated_normal", "orthogonal", "he_normal"):
            init.apply(there, scheme)
            there_too = copy.deepcopy(there)
            with torch.device("cpu"):
                init.apply(here, scheme)
            assert_same(there_too, here)


@pytest.mark.parametrize("deterministic", [False, True])
def test_functions_draw_with_a_generator_of_the_gpu(cuda, deterministic):
    def generator():
        return torch.Generator(cuda).manual_seed(1)

    torch.use_deterministic_algorithms(deterministic)
    try:
        square = init.orthogonal_(torch.empty(48, 32, device=cuda), generator=generator())
        again = init.orthogonal_(torch.empty(48, 32, device=cuda), generator=generator())
        cut = init.trunc_normal_(torch.empty(20000, device=cuda), std=2.0, a=-1.0, b=3.0, generator=generator())
        sparse = init.sparse_(torch.empty(30, 20, device=cuda), 0.7, generator=generator())
        normal = init.kaiming_normal_(torch.empty(400, 300, device=cuda), generator=generator())
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(square, again)
    torch.testing.assert_close((square.T.double() @ square.double()).cpu(), torch.eye(32).double(), rtol=0, atol=1e-5)
    assert -1 <= cut.min() < -0.9
    assert 2.9 < cut.max() <= 3
    assert (sparse == 0).sum(0).tolist() == [21] * 20
    assert float(normal.std()) == pytest.approx(math.sqrt(2 / 300), rel=0.01)
