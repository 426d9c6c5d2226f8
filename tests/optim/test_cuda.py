"""Optimizers, proximal steps and clipping on a GPU do what they do on the CPU."""

import copy

import pytest
import torch
from torch import nn

from weightsmith import kinds, optim
from weightsmith.optim.metric import metric_of
from weightsmith.penalties import GroupLasso, MaxNorm

STEPS = 5
PENALTIES = {
    "none": {},
    "l1": {"l1": 0.02},
    "elastic": {"l1": 0.01, "l2": 0.1},
    "rows": {"penalties": [GroupLasso(0.01), MaxNorm(0.9)]},
}
WITH_OPTIONS = {
    "adam": {"amsgrad": True},
    "rmsprop": {"momentum": 0.5, "centered": True},
    "adagrad": {"lr_decay": 0.1},
    "momentum": {"dampening": 0.3},
    "muon": {"nesterov": False},
}


def network(name="", dtype=torch.float32):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 8), nn.LayerNorm(8), nn.Conv1d(8, 4, 3), nn.Linear(4, 3))
    if name == "bop":
        kinds.binary(model, latent=False, first_and_last="binary")
    return model.to(dtype)


def give_gradients(model, step):
    """The same on every device: what is compared is the optimizer and not the products of matrices."""
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad = gradient.to(parameter.device, parameter.dtype)


def train(model, optimizer, steps=range(STEPS)):
    for step in steps:
        give_gradients(model, step)
        optimizer.step()


def tolerances(name, dtype=torch.float32):
    if dtype != torch.float32:
        return {"rtol": 0.03, "atol": 0.005}
    if name == "muon":  # orthogonalizes in bfloat16
        return {"rtol": 0.0, "atol": 0.1 * STEPS * optim.OPTIMIZERS[name].lr}
    return {"rtol": 1e-5, "atol": 1e-6}


def assert_close(there, here, **tolerance):
    for name, parameter in here.named_parameters():
        moved = there.get_parameter(name)
        assert moved.device.type == "cuda", name
        found, expected = moved.detach().cpu(), parameter.detach()
        torch.testing.assert_close(found, expected, **tolerance, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("options", ["default", "other"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_every_optimizer_moves_as_on_the_cpu(cuda, name, penalty, options):
    if name == "bop" and penalty != "none":
        pytest.skip("what Bop flips is never held back")
    if options == "other" and name not in WITH_OPTIONS:
        pytest.skip("it has no other options")
    given = {**PENALTIES[penalty], **(WITH_OPTIONS[name] if options == "other" else {})}
    if name == "bop":
        given["gamma"] = 0.3
    here = network(name)
    there = copy.deepcopy(here).to(cuda)
    for model in (here, there):
        train(model, optim.build(model, name, **given))
    assert_close(there, here, **tolerances(name))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_sixteen_bits_move_as_on_the_cpu(cuda, name, dtype):
    given = {"gamma": 0.3} if name == "bop" else {"l1": 0.02}
    here = network(name, dtype)
    there = copy.deepcopy(here).to(cuda)
    for model in (here, there):
        train(model, optim.build(model, name, **given))
    assert_close(there, here, **tolerances(name, dtype))


@pytest.mark.parametrize("start", ["cpu", "cuda"])
@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_state_goes_from_device_to_device(cuda, name, start):
    """A training that changes its device goes on as one that does not."""
    given = {"gamma": 0.3} if name == "bop" else {"l1": 0.01}
    end = "cpu" if start == "cuda" else "cuda"
    first = network(name).to(start)
    optimizer = optim.build(first, name, **given)
    train(first, optimizer, range(3))
    second = network(name).to(end)
    second.load_state_dict(first.state_dict())
    other = optim.build(second, name, **given)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(first, optimizer, range(3, 6))
    train(second, other, range(3, 6))
    assert_close(*((first, second) if start == "cuda" else (second, first)), **tolerances(name))


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "adagrad"])
def test_the_metric_is_that_of_the_cpu(cuda, name):
    steps = []
    here = network()
    for model in (here, copy.deepcopy(here).to(cuda)):
        optimizer = optim.build(model, name)
        train(model, optimizer, range(1))  # where the correction of Adam is largest
        weight = model[1].weight
        group = next(group for group in optimizer.param_groups if any(each is weight for each in group["params"]))
        steps.append(metric_of(optimizer)(group, optimizer.state[weight]).step())
    torch.testing.assert_close(steps[1].cpu(), steps[0], rtol=1e-5, atol=0)  # its 1 - beta is of float32


@pytest.mark.parametrize("name", ["gradient_descent", "momentum", "nesterov", "adam", "adamw", "bop"])
def test_a_step_does_not_wait_for_the_gpu(cuda, name, nobody_waits):
    model = network(name).to(cuda)
    optimizer = optim.build(model, name, **({} if name == "bop" else {"l1": 0.01}))
    train(model, optimizer, range(2))
    give_gradients(model, 2)
    with nobody_waits():
        optimizer.step()


@pytest.mark.parametrize("clip", [optim.clip_by_norm, optim.clip_by_value])
def test_clipping_is_that_of_the_cpu(cuda, clip, nobody_waits):
    here = network()
    there = copy.deepcopy(here).to(cuda)
    for model in (here, there):
        give_gradients(model, 0)
    expected = clip(here.parameters(), 0.5)
    with nobody_waits():
        found = clip(there.parameters(), 0.5)
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), expected)
    for moved, kept in zip(there.parameters(), here.parameters(), strict=True):
        torch.testing.assert_close(moved.grad.cpu(), kept.grad)


def test_a_gradient_scaler_works_with_penalties(cuda):
    model = nn.Linear(6, 4).to(cuda)
    optimizer = optim.build(model, "adam", l1=0.01)
    scaler = torch.amp.GradScaler("cuda", init_scale=4.0)
    inputs = torch.ones(3, 6, device=cuda)
    before = model.weight.detach().clone()
    with torch.autocast("cuda", torch.float16):
        loss = model(inputs).square().mean()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert not torch.equal(model.weight, before)
    optimizer.zero_grad()
    before = model.weight.detach().clone()
    scaler.scale(model(inputs * float("inf")).square().mean()).backward()
    scaler.step(optimizer)  # which leaves the step out, and the proximal one with it
    scaler.update()
    assert torch.equal(model.weight, before)
