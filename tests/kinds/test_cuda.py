"""Weights of every kind train on a GPU as on the CPU, and go from one to the other.

In float64: the sign of a value, and which of two is larger, then do not hang on how a product was rounded.
"""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import weightsmith as ws
from weightsmith import kinds, optim

STEPS = 4

CASES = {
    "bounds": ("continuous", {"minimum": -0.05, "maximum": 0.1}),
    "unit norm": ("continuous", {"unit_norm": True}),
    **{
        f"binary, {estimator}": ("binary", {"estimator": estimator, "scale": "channel"})
        for estimator in ("identity", "clipped", "approx_sign", "swish_sign", "reste", "proximal")
    },
    **{f"binary, scale {scale}": ("binary", {"scale": scale}) for scale in ("none", "tensor", "learned")},
    "binary, bits": ("binary", {"alphabet": "bits", "scale": "tensor"}),
    "binary, glorot": ("binary", {"latent_bound": "glorot", "first_and_last": "binary"}),
    "binary, stochastic": ("binary", {"stochastic": True, "seed": 3}),
    "binary, without latent": ("binary", {"latent": False}),
    **{
        f"binary activations, {estimator}": (
            "binary",
            {"scale": "channel", "activations": "binary", "activation_estimator": estimator},
        )
        for estimator in ("identity", "clipped", "approx_sign", "swish_sign", "reste")
    },
    **{f"ternary, {scale}": ("ternary", {"scale": scale}) for scale in ("none", "tensor", "channel")},
    "ternary, identity": ("ternary", {"estimator": "identity", "first_and_last": "ternary"}),
    "magnitude": ("sparse", {"method": "magnitude", "sparsity": 0.8}),
    "magnitude, layer": ("sparse", {"method": "magnitude", "sparsity": 0.8, "scope": "layer", "start": 0, "end": 0}),
    "magnitude, erk": ("sparse", {"method": "magnitude", "sparsity": 0.7, "scope": "erk"}),
    "magnitude, 2 of 4": ("sparse", {"method": "magnitude", "n": 2, "m": 4}),
    "magnitude, blocks": ("sparse", {"method": "magnitude", "sparsity": 0.5, "block": (2, 3)}),
    "magnitude, fan in": ("sparse", {"method": "magnitude", "sparsity": 0.5, "fan_in": True}),
    "set": ("sparse", {"method": "set", "sparsity": 0.7, "every": 1}),
    "set, fan in": ("sparse", {"method": "set", "sparsity": 0.7, "every": 1, "fan_in": True, "rescale": True}),
    "rigl": ("sparse", {"method": "rigl", "sparsity": 0.7, "every": 1}),
    "rigl, fan in": ("sparse", {"method": "rigl", "sparsity": 0.7, "every": 1, "fan_in": True}),
    "snip": ("sparse", {"method": "snip", "sparsity": 0.7}),
    "wanda": ("sparse", {"method": "wanda", "sparsity": 0.5}),
    "wanda, 1 of 2": ("sparse", {"method": "wanda", "n": 1, "m": 2}),
    "movement": ("sparse", {"method": "movement", "sparsity": 0.7}),
    "l0": ("sparse", {"method": "l0", "strength": 0.01}),
    "l0, rows": ("sparse", {"method": "l0", "strength": 0.01, "by": "rows"}),
    "spred": ("sparse", {"method": "spred", "strength": 0.1, "end": 0.5, "threshold": 0.02}),
    "l1": ("sparse", {"method": "l1", "strength": 0.5, "end": 0.5}),
    "group lasso": ("sparse", {"method": "group_lasso", "strength": 0.2, "by": "columns"}),
    "structured": ("sparse", {"method": "structured", "sparsity": 0.5}),
    "structured, global": ("sparse", {"method": "structured", "sparsity": 0.5, "scope": "global"}),
}


def network(dtype=torch.float64):
    with torch.device("cpu"):
        return drawn().to(dtype)


def drawn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Tanh(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(32, 12),
        nn.Tanh(),
        nn.Linear(12, 3),
    )


def images(like, seed):
    found = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(seed), device="cpu")
    return found.to(like.device, like.dtype)


def loss_of(model, step=0):
    first = next(model.parameters())
    inputs = images(first, step)
    return nn.functional.cross_entropy(model(inputs), torch.arange(16, device=first.device) % 3)


class Training:
    """A model of a kind and all that trains it."""

    def __init__(self, case, place, optimizer="momentum", dtype=torch.float64):
        kind, options = CASES[case]
        self.model = network(dtype).to(place)
        samples = [images(self.model[0].weight, 9)]
        needed = {"snip": {"loss": loss_of}, "wanda": {"samples": samples}}.get(options.get("method"), {})
        self.controller = kinds.apply(self.model, kind, data=needed, **options)
        flips = options.get("latent") is False
        self.optimizer = optim.build(
            self.model, "bop" if flips else optimizer, 0.05, penalties=self.controller.penalties,
            **({"gamma": 0.3, "threshold": 1e-4} if flips else {}),
        )  # fmt: skip
        self.controller.attach(self.optimizer)

    def run(self, steps=range(STEPS)):
        for step in steps:
            self.optimizer.zero_grad()
            (loss_of(self.model, step) + self.controller.penalty()).backward()
            self.optimizer.step()
            self.controller.step((step + 1) / STEPS)
        return self


def assert_close(there, here, place="cuda"):
    expected = here.state_dict()
    assert there.state_dict().keys() == expected.keys()
    for name, moved in there.state_dict().items():
        assert moved.device.type == place, name
        torch.testing.assert_close(moved.cpu(), expected[name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture(params=CASES)
def case(request, monkeypatch):
    if "wanda" in request.param:
        # what it measures of convolutions in float32, cuDNN rounds to TF32
        monkeypatch.setattr(torch.backends.cudnn, "enabled", False)
    return request.param


def test_the_whole_table_is_tried():
    assert {kind for kind, _ in CASES.values()} == set(kinds.KINDS)
    assert {options["method"] for kind, options in CASES.values() if kind == "sparse"} == set(kinds.METHODS)


def test_training_is_that_of_the_cpu(cuda, case):
    here, there = Training(case, "cpu").run(), Training(case, cuda).run()
    assert there.controller.describe() == here.controller.describe()
    assert_close(there.model, here.model)


def test_a_model_moves_to_the_gpu_half_way_and_back(cuda, case):
    """Everything that a kind remembers goes with the model."""
    plain = "gradient_descent"  # which has no state of its own
    if "without latent" in case:
        pytest.skip("Bop has: it is built anew on another device, as every optimizer of torch's")
    here, moving = Training(case, "cpu", plain).run(), Training(case, "cpu", plain)
    moving.run(range(2))
    moving.model.to(cuda)
    moving.run(range(2, 3))
    moving.model.cpu()
    moving.run(range(3, STEPS))
    assert_close(moving.model, here.model, "cpu")


@pytest.mark.parametrize("start", ["cpu", "cuda"])
def test_states_are_loaded_on_the_other_device(cuda, case, start):
    first, second = Training(case, start), Training(case, "cpu" if start == "cuda" else "cuda")
    first.run(range(2))
    second.model.load_state_dict(first.model.state_dict())
    second.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    second.controller.load_state_dict(first.controller.state_dict())
    for training in (first, second):
        training.run(range(2, STEPS))
    there, here = (first, second) if start == "cuda" else (second, first)
    assert_close(there.model, here.model)


def test_baked_weights_and_what_is_read_are_those_of_the_cpu(cuda, case):
    here, there = Training(case, "cpu").run().model, Training(case, cuda).run().model
    source = ws.open(there)
    for name, weight in ws.open(here).items():
        np.testing.assert_allclose(source[name].read(), weight.read(), rtol=1e-4, atol=1e-6, err_msg=name)
    assert kinds.bake(there) == kinds.bake(here)
    assert_close(there, here)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sixteen_bits_train(cuda, case, dtype):
    training = Training(case, cuda, dtype=dtype).run()
    for name, value in training.model.state_dict().items():
        assert value.device.type == "cuda", name
        assert bool(value.isfinite().all()), name
    training.model.eval()
    assert bool(loss_of(training.model).isfinite())


def test_deterministic_algorithms_do(cuda, case, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        one, other = Training(case, cuda).run(range(3)), Training(case, cuda).run(range(3))
    finally:
        torch.use_deterministic_algorithms(False)
    expected = other.model.state_dict()
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_model_is_checked_where_it_lies(cuda):
    here = network()
    there = copy.deepcopy(here).to(cuda)
    with torch.no_grad():
        for model in (here, there):
            model[3].weight[2] = 0
            model[7].weight[1, 1] = float("nan")
    assert [str(each) for each in ws.check(there)] == [str(each) for each in ws.check(here)]
    assert ws.check(there)


def test_the_default_device_may_be_the_gpu(cuda, case):
    """And the model on the CPU all the same."""
    with torch.device(cuda):
        training = Training(case, "cpu")
    assert_close(training.model, Training(case, "cpu").model, "cpu")


@pytest.mark.parametrize("sparsity", [None, 0.4])
def test_layers_shrink_as_on_the_cpu(cuda, sparsity):
    here, there = Training("structured", "cpu").run().model, Training("structured", cuda).run().model
    expected, found = kinds.shrink(here, sparsity), kinds.shrink(there, sparsity)
    assert str(found) == str(expected)
    assert found.shapes == expected.shapes
    assert_close(there, here)
    fresh = network().to(cuda)
    kinds.resize(fresh, found.shapes)
    fresh.load_state_dict(there.state_dict())
    assert_close(fresh, here)


@pytest.mark.parametrize("to", ["binary", "sparse"])
def test_sensitivity_is_that_of_the_cpu(cuda, to):
    here = network()
    there = copy.deepcopy(here).to(cuda)
    each = [kinds.sensitivity(model, lambda model: loss_of(model).detach(), to=to) for model in (there, here)]
    for found, expected in zip(*each, strict=True):
        assert found.weight == expected.weight
        assert [found.after, found.error] == pytest.approx([expected.after, expected.error], rel=1e-6)


def test_penalties_of_no_price_lie_beside_the_loss(cuda):
    training = Training("magnitude", cuda)
    assert training.controller.penalty().device.type == "cuda"
    assert float(training.controller.penalty()) == 0


def test_methods_that_look_at_data_leave_the_random_state(cuda):
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)).to(cuda)
    inputs = torch.randn(5, 6, device=cuda)
    before = torch.cuda.get_rng_state()
    kinds.sparse(model, 0.5, "snip", loss=lambda model: model(inputs).square().sum())
    assert torch.equal(torch.cuda.get_rng_state(), before)


def test_binary_activations_are_made_beside_the_weights(cuda):
    model = network().to(cuda)
    kinds.binary(model, activations="binary", activation_estimator="reste")
    assert {buffer.device.type for buffer in model.buffers()} == {"cuda"}
