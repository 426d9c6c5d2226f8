import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError
from weightsmith.optim import Bop, BopWithAdam, Proximal, build, build_schedule


def network(scale="none", alphabet="signs"):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    return model, kinds.binary(model, latent=False, scale=scale, alphabet=alphabet)


def digits():
    pixels, labels = load_digits(return_X_y=True)
    return torch.tensor(pixels, dtype=torch.float32) / 8 - 1, torch.tensor(labels)


def learn(model, controller, optimizer, steps, schedule=None):
    inputs, labels = digits()
    for step in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        controller.step((step + 1) / steps)
        if schedule is not None:
            schedule.step()
    with torch.no_grad():
        return float((model.eval()(inputs).argmax(1) == labels).float().mean())


def stored(model):
    return model[3].parametrizations.weight.original


def test_flips_by_the_rule_of_the_paper():
    generator = np.random.default_rng(0)
    start = np.sign(generator.normal(size=(7, 5))).astype(np.float32)
    weight = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = Bop([weight], gamma=0.1, threshold=0.02)
    values, average = start.astype(np.float64), np.zeros((7, 5))
    flips = 0
    for _ in range(30):
        gradient = generator.normal(size=(7, 5)).astype(np.float32)
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        average = 0.9 * average + 0.1 * gradient
        flip = (np.abs(average) > 0.02) & (np.sign(average) == np.sign(values))
        values = np.where(flip, -values, values)
        flips += flip.sum()
        np.testing.assert_array_equal(weight.detach().numpy(), values)
    assert flips > 100


@pytest.mark.parametrize("alphabet", ["signs", "bits"])
@pytest.mark.parametrize("scale", ["none", "learned"])
def test_learns_the_digits_without_latent_weights(alphabet, scale):
    model, controller = network(scale, alphabet)
    before = stored(model).detach().clone()
    optimizer = build(model, "bop", 0.01, gamma=0.01, threshold=1e-6)
    accuracy = learn(model, controller, optimizer, 60)
    assert accuracy > 0.95
    assert set(stored(model).unique().tolist()) == {-1.0, 1.0}
    assert (stored(model) != before).float().mean() > 0.01


def test_moves_the_rest_as_adam():
    model, _ = network()
    other = copy.deepcopy(model)
    optimizer = build(model, "bop", 0.01, weight_decay=0.1, gamma=1e-9, threshold=1.0)
    moved = {group["algorithm"]: group["param_names"] for group in optimizer.param_groups}
    assert moved["bop"] == ["3.weight"]
    decays = {name: group["weight_decay"] for group in optimizer.param_groups for name in group["param_names"]}
    assert [name for name, decay in decays.items() if decay] == ["0.weight", "6.weight"]
    rest = [(name, each) for name, each in other.named_parameters() if "original" not in name]
    heavy = [each for name, each in rest if name in ("0.weight", "6.weight")]
    light = [each for name, each in rest if name not in ("0.weight", "6.weight")]
    adam = torch.optim.Adam([{"params": heavy, "weight_decay": 0.1}, {"params": light}], 0.01, fused=True)
    inputs, labels = digits()
    for each, mover in ((model, optimizer), (other, adam)):
        for _ in range(3):
            mover.zero_grad()
            F.cross_entropy(each(inputs), labels).backward()
            mover.step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], msg=name)


@pytest.mark.parametrize("way", ["state_dict", "deepcopy"])
def test_resumes_exactly(way):
    model, controller = network()
    optimizer = build(model, "bop", 0.01, gamma=0.01)
    learn(model, controller, optimizer, 3)
    if way == "deepcopy":
        other, its_controller, copied = copy.deepcopy((model, controller, optimizer))
    else:
        other, its_controller = network()
        copied = build(other, "bop", 0.5)
        other.load_state_dict(model.state_dict())
        copied.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, keeper, mover in ((model, controller, optimizer), (other, its_controller, copied)):
        each.train()
        learn(each, keeper, mover, 5)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_a_schedule_slows_the_flips_down():
    model, controller = network()
    optimizer = build(model, "bop", 0.01, gamma=0.5)
    schedule = build_schedule(optimizer, "cosine", 4)
    learn(model, controller, optimizer, 4, schedule)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)
    before = stored(model).detach().clone()
    average = optimizer.state[stored(model)]["average"].clone()
    inputs, labels = digits()
    optimizer.zero_grad()
    F.cross_entropy(model(inputs), labels).backward()
    optimizer.step()
    torch.testing.assert_close(optimizer.state[stored(model)]["average"], average)
    # flips that are due by the old average still happen; the new gradient has no say
    flip = (average * before) > 1e-8
    assert torch.equal(stored(model), torch.where(flip, -before, before))


def test_named_parameters_are_enough():
    model, _ = network()
    optimizer = build(model.named_parameters(), "bop")
    assert {g["algorithm"]: g["param_names"] for g in optimizer.param_groups}["bop"] == ["3.weight"]
    loose = BopWithAdam(model.parameters())
    assert [len(group["params"]) for group in loose.param_groups] == [1, 9]


def test_l1_leaves_flipped_weights_alone():
    model, controller = network()
    optimizer = build(model, "bop", 0.01, gamma=0.01, l1=1.0)
    assert isinstance(optimizer, Proximal)
    learn(model, controller, optimizer, 5)
    assert (model[0].weight == 0).float().mean() > 0.5
    assert set(stored(model).unique().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_small_rates_count_in_16_bits(dtype):
    weight = nn.Parameter(torch.ones(2, 2, dtype=dtype))
    optimizer = Bop([weight], gamma=1e-4, threshold=5e-4)
    weight.grad = torch.ones_like(weight)
    for _ in range(5):
        optimizer.step()
        assert (weight == 1).all()
    optimizer.step()
    assert (weight == -1).all()


def test_what_does_not_fit_is_refused():
    model, _ = network()
    with pytest.raises(InputError, match=r"'3.weight' is binary without latent weights: choose 'bop'"):
        build(model, "adam")
    with pytest.raises(InputError, match=r"kinds.binary\(model, latent=False\)"):
        build(nn.Linear(3, 2), "bop")
    for option, value in (("gamma", 0.0), ("gamma", 2), ("threshold", -1.0)):
        with pytest.raises(InputError, match=option):
            build(model, "bop", **{option: value})
