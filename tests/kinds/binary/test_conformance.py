"""What every way to binary weights must do: learn, end binary, resume exactly, copy, compile, work in 16 bits."""

import copy
import warnings

import pytest
import torch
from torch import nn

from weightsmith import kinds, optim
from weightsmith.kinds.binary.settings import WeightEstimator
from weightsmith.sources.module import open_module

WAYS: dict[str, dict] = {
    "identity": {"estimator": "identity"},
    "clipped": {"estimator": "clipped", "scale": "channel"},
    "approx_sign": {"estimator": "approx_sign"},
    "swish_sign": {"estimator": "swish_sign"},
    "reste": {"estimator": "reste", "scale": "tensor"},
    "proximal": {"estimator": "proximal"},
    "proximal, learned scale": {"estimator": "proximal", "scale": "learned", "binary_from": 0.5},
    "bits": {"alphabet": "bits", "scale": "learned"},
    "stochastic": {"stochastic": True, "latent_bound": "glorot"},
    "glorot": {"latent_bound": "glorot"},
    "no bound": {"latent_bound": "none", "estimator": "identity"},
    "latent-free": {"latent": False},
    "activations": {"activations": "binary"},
    "annealed activations": {"activations": "binary", "activation_estimator": "reste"},
}
TRACED = ("reste", "proximal, learned scale", "stochastic")
"""Those of the most operations are compiled with their backward pass, which takes seconds."""

ways = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def made(network):
    """A model, its controller and its optimizer."""

    def make(way, seed=0, model=None):
        model = network(seed) if model is None else model
        controller = kinds.apply(model, "binary", seed=4, **WAYS[way])
        moved = {"gamma": 0.01, "threshold": 1e-6} if way == "latent-free" else {}
        optimizer = optim.build(model, "bop" if moved else "adam", 0.01, **moved)
        return model, controller, optimizer

    return make


def test_every_estimator_is_among_them():
    tried = {options.get("estimator", "clipped") for options in WAYS.values()}
    assert tried == set(WeightEstimator.__args__)


@ways
def test_learns_the_digits_and_ends_binary(way, made, learn):
    model, controller, optimizer = made(way)
    before = model.eval()[3].weight.sign()
    assert learn(model, controller, optimizer, 60) > 0.93
    assert (model[3].weight.sign() != before).float().mean() > 0.003
    scale = model[3].parametrizations.weight[0].factor(model[3].parametrizations.weight.original)
    levels = torch.tensor([0.0 if WAYS[way].get("alphabet") == "bits" else -1.0, 1.0])
    weight = model[3].weight.detach()
    assert ((weight == levels[0] * scale) | (weight == levels[1] * scale)).all()
    if not WAYS[way].get("stochastic"):
        assert torch.equal(model.train()[3].weight, weight)
    assert torch.equal(torch.from_numpy(open_module(model)["3.weight"].read().copy()), weight)


@ways
def test_resumes_exactly_in_the_middle(way, made, learn):
    model, controller, optimizer = made(way)
    learn(model, controller, optimizer, 12, last=5)
    resumed, its_controller, its_optimizer = made(way, seed=1)
    resumed.load_state_dict(model.state_dict())
    its_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    its_controller.load_state_dict(controller.state_dict())
    for each in ((model, controller, optimizer), (resumed, its_controller, its_optimizer)):
        learn(*each, 12, first=5)
    for name, value in model.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@ways
def test_copies_are_independent(way, made, learn):
    model, controller, optimizer = made(way)
    learn(model, controller, optimizer, 12, last=2)
    before = copy.deepcopy(model.state_dict())
    copied = copy.deepcopy((model, controller, optimizer))
    learn(*copied, 12, first=2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    learn(model, controller, optimizer, 12, first=2)
    for name, value in model.state_dict().items():
        assert torch.equal(value, copied[0].state_dict()[name]), name


@ways
def test_compiles_whole_and_agrees(way, made, digits):
    model, controller, _ = made(way)
    controller.step(0.4)
    inputs, _ = digits
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own
        compiled = torch.compile(model, backend="aot_eager" if way in TRACED else "eager", fullgraph=True)
        for progress in (0.4, 0.6):
            controller.step(progress)
            found = []
            for each in (model, compiled):
                model.zero_grad()
                outputs = each(inputs[:50])
                outputs.square().sum().backward()
                found.append((outputs, [parameter.grad for parameter in model.parameters()]))
            torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)
        model.eval()
        torch.testing.assert_close(compiled(inputs[:50]), model(inputs[:50]))


@ways
def test_learns_in_mixed_precision(way, made, learn):
    model, controller, optimizer = made(way)

    def forward(inputs):
        with torch.autocast("cpu", torch.bfloat16):
            return model(inputs).float()

    assert learn(model, controller, optimizer, 60, forward=forward) > 0.9
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@ways
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_stay(way, dtype, made, network):
    model, controller, optimizer = made(way, model=network().to(dtype))
    controller.step(0.4)
    assert model[3].weight.dtype == dtype
    outputs = model(torch.ones(2, 64, dtype=dtype))
    assert outputs.dtype == dtype
    outputs.sum().backward()
    optimizer.step()
    controller.step(1.0)
    assert model.eval()[3].weight.isfinite().all()


@ways
def test_not_a_number_is_kept_not_hidden(way, made, network):
    model = network()
    with torch.no_grad():
        model[3].weight[0, 0] = float("nan")
    model, controller, _ = made(way, model=model)
    controller.step(0.2)
    for mode in (model.train(), model.eval()):
        assert mode[3].weight[0, 0].isnan()


@ways
def test_odd_and_empty_shapes(way):
    options = {name: value for name, value in WAYS[way].items() if "activation" not in name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own initialization
        model = nn.Sequential(nn.Linear(1, 1), nn.Linear(3, 0), nn.Conv1d(3, 5, 7))
    controller = kinds.binary(model, first_and_last="binary", **options)
    controller.step(0.5)
    assert model[1](torch.zeros(2, 3)).shape == (2, 0)
    assert model[0](torch.zeros(0, 1)).shape == (0, 1)
    assert model[2](torch.zeros(2, 3, 9)).shape == (2, 5, 3)
