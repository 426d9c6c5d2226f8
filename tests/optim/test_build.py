import copy
import math

import pytest
import torch
from torch import nn

from weightsmith.errors import InputError
from weightsmith.optim import ALIASES, OPTIMIZERS, MuonWithAdamW, Proximal, build, parameter_groups
from weightsmith.penalties import L1, GroupLasso, MaxNorm

FOR_ANY_MODEL = [name for name in OPTIMIZERS if name != "bop"]
"""Bop has tests of its own, with weights that it can flip."""


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Embedding(10, 6), nn.Flatten(), nn.Linear(12, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)
    )


def loss_of(model):
    inputs = torch.arange(40).view(20, 2) % 10
    return nn.functional.cross_entropy(model(inputs), torch.arange(20) % 3)


def names_by_decay(optimizer):
    return {group["weight_decay"]: group["param_names"] for group in optimizer.param_groups}


@pytest.mark.parametrize("name", [*FOR_ANY_MODEL, *ALIASES])
@pytest.mark.parametrize("l1", [0.0, 1e-4])
def test_every_optimizer_lowers_the_loss_and_resumes(name, l1):
    model = network()
    optimizer = build(model, name, l1=l1)
    assert isinstance(optimizer, Proximal) == (l1 > 0)
    first = loss_of(model).item()
    for _ in range(40):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
    assert loss_of(model).item() < first
    again = build(model, name, l1=l1)
    again.load_state_dict(optimizer.state_dict())
    assert str(again.state_dict()) == str(optimizer.state_dict())


@pytest.mark.parametrize("name", FOR_ANY_MODEL)
def test_only_weights_that_multiply_decay(name):
    optimizer = build(network(), name, weight_decay=0.1)
    names = {}
    for group in optimizer.param_groups:
        names.setdefault(group["weight_decay"], []).extend(group["param_names"])
    assert sorted(names[0.1]) == ["0.weight", "2.weight", "5.weight"]
    assert sorted(names[0.0]) == ["2.bias", "3.bias", "3.weight", "5.bias"]


def test_defaults_come_from_the_table():
    for name in FOR_ANY_MODEL:
        info = OPTIMIZERS[name]
        group = build(network(), name).param_groups[0]
        assert group["lr"] == info.lr
        assert group["weight_decay"] == info.weight_decay
        for option, entry in info.options.items():
            if option in group:
                assert group[option] == entry.default


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_table_is_complete(name):
    info = OPTIMIZERS[name]
    assert info.name == name
    assert info.summary
    assert info.reference[-4:].isdecimal()
    for option in info.options.values():
        assert option.accepts(option.default)
        assert not option.accepts("neither")


def test_options_reach_the_optimizer():
    optimizer = build(network(), "adam", 0.5, betas=(0.8, 0.9), eps=1e-6, amsgrad=True)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["eps"], group["amsgrad"]) == (0.5, (0.8, 0.9), 1e-6, True)
    assert build(network(), "nesterov").param_groups[0]["nesterov"] is True
    assert build(network(), "sgd").param_groups[0]["momentum"] == 0


def test_compiled_loops_where_there_are_some():
    for name in ("gradient_descent", "momentum", "nesterov", "adam", "adamw", "adagrad"):
        assert build(network(), name).param_groups[0]["fused"] is True
    assert build(nn.Linear(2, 2, device="meta"), "adam").param_groups[0]["fused"] is None
    assert not build(nn.Embedding(3, 2, sparse=True), "gradient_descent").param_groups[0]["fused"]


@pytest.mark.parametrize("name", FOR_ANY_MODEL)
def test_strided_parameters_move_as_contiguous_ones(name):
    whole = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    strided, contiguous = nn.Parameter(whole[:, ::2]), nn.Parameter(whole[:, ::2].contiguous())
    for weight in (strided, contiguous):
        optimizer = build([("linear.weight", weight)], name, l1=0.1)
        weight.grad = whole[:, 1::2].clone()
        optimizer.step()
    torch.testing.assert_close(strided, contiguous)


def test_coupled_and_decoupled_decay():
    def step(name):
        weight = nn.Parameter(torch.ones(1, 1, dtype=torch.float64))
        optimizer = build([("linear.weight", weight)], name, 0.1, weight_decay=0.5)
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        return weight.item()

    assert step("adam") == pytest.approx(0.9)  # the decay is the gradient: one full step of size lr
    assert step("adamw") == pytest.approx(0.95)  # lr * decay * weight


def test_l2_is_applied_in_the_metric_of_the_optimizer():
    weight = nn.Parameter(torch.ones(1, 1, dtype=torch.float64))
    optimizer = build([("linear.weight", weight)], "gradient_descent", 0.1, l2=0.5)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert weight.item() == pytest.approx(1 / 1.05)


def test_penalties_add_up():
    model = network()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = model[2].weight.detach().clone()
    optimizer = build(
        model, "sgd", 1.0, l1=0.01, penalties={"2.weight": [L1(0.02), MaxNorm(0.3)], "5*": GroupLasso(9.0)}
    )
    first, last = model[0].weight.detach().clone(), model[5]
    optimizer.step()
    torch.testing.assert_close(model[0].weight.detach(), first.sign() * (first.abs() - 0.01).clamp_min(0))
    thresholded = before.sign() * (before.abs() - 0.03).clamp_min(0)
    torch.testing.assert_close(model[2].weight.detach(), torch.renorm(thresholded, 2, 0, 0.3))
    assert last.weight.eq(0).all()


def test_include_and_exclude():
    model = network()
    assert names_by_decay(build(model, "adam", weight_decay=0.1, include="2"))[0.1] == ["2.weight"]
    assert names_by_decay(build(model, "adam", weight_decay=0.1, exclude=["0*", "2.weight"]))[0.1] == ["5.weight"]


def test_frozen_parameters_are_left_out():
    model = network()
    model[0].requires_grad_(False)
    optimizer = build(model, "adam", l1=0.1)
    assert "0.weight" not in [name for group in optimizer.param_groups for name in group["param_names"]]


def test_named_parameters_without_a_model():
    optimizer = build(network().named_parameters(), "adamw", weight_decay=0.1)
    assert names_by_decay(optimizer)[0.1] == ["0.weight", "2.weight", "5.weight"]


def test_parametrized_weights_have_their_plain_name():
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4))
    groups = parameter_groups(nn.Sequential(layer), 0.1)
    assert [name for name, _ in groups[0]["params"]] == ["0.weight"]
    assert [name for name, _ in groups[1]["params"]] == ["0.bias"]


def test_one_group_where_all_are_alike():
    assert len(parameter_groups(nn.Linear(3, 2, bias=False), 0.1)) == 1
    assert parameter_groups(nn.LayerNorm(3), 0.1)[0]["weight_decay"] == 0


def test_muon_moves_hidden_matrices_only():
    optimizer = build(network(), "muon")
    names = {}
    for group in optimizer.param_groups:
        names.setdefault(group["algorithm"], []).extend(group["param_names"])
    assert isinstance(optimizer, MuonWithAdamW)
    assert names == {
        "muon": ["2.weight", "5.weight"],
        "adamw": ["0.weight", "2.bias", "3.weight", "3.bias", "5.bias"],
    }


MISTAKES = {
    "unknown optimizer 'adamm': choose from .*; did you mean 'adam'": {"name": "adamm"},
    "lr of build must be a finite number above 0, got -1": {"lr": -1},
    "lr of build must be a finite number above 0, got nan": {"lr": math.nan},
    "weight_decay of build must be a finite number of at least 0, got '1e-4'": {"weight_decay": "1e-4"},
    "l1 must be a finite number of at least 0, got -0.1": {"l1": -0.1},
    "l2 must be": {"l2": math.inf},
    "optimizer 'adam' has no option 'beta': its options are betas, eps, amsgrad; did you mean 'betas'": {"beta": 0.9},
    r"betas of optimizer 'adam' must be two numbers in \[0, 1\), got \(0.9, 1.0\)": {"betas": (0.9, 1.0)},
    "eps of optimizer 'adam' must be": {"eps": -1.0},
    "amsgrad of optimizer 'adam' must be True or False, got 1": {"amsgrad": 1},
    "pattern 'encoder' matches no weight": {"l1": 0.1, "include": "encoder"},
    "pattern '3.weight' matches no weight": {"l1": 0.1, "penalties": {"3.weight": L1(0.1)}},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_named(message):
    with pytest.raises(InputError, match=message) as caught:
        build(network(), **{"name": "adam", **MISTAKES[message]})
    assert "\n" not in str(caught.value)


def test_mistakes_in_parameters():
    with pytest.raises(InputError, match="nothing to optimize: there are no parameters"):
        build(nn.ReLU(), "adam")
    with pytest.raises(InputError, match="nothing to optimize: none of 2 parameters requires a gradient"):
        build(nn.Linear(2, 2).requires_grad_(False), "adam")
    with pytest.raises(InputError, match="pairs of a name and a tensor"):
        build(nn.Linear(2, 2).parameters(), "adam")
    with pytest.raises(InputError, match="momentum of optimizer 'nesterov'"):
        build(network(), "nesterov", momentum=0.0)


@pytest.mark.parametrize("given", [None, 3])
def test_what_is_no_model_is_named(given):
    with pytest.raises(InputError, match=f"parameters must be .* got {type(given).__name__}"):
        build(given, "adam")


def test_names_of_the_wrong_type_are_named():
    with pytest.raises(InputError, match="unknown optimizer 'None'"):
        build(nn.Linear(2, 2), None)
    with pytest.raises(InputError, match="got 'l1'"):
        build(nn.Linear(2, 2), "adam", penalties="l1")


def test_a_state_brings_no_compiled_loop_that_this_device_has_not():
    """As PyTorch's Adagrad has one for the CPU alone, a state from there must not ask for it elsewhere."""
    optimizer = build(network(), "adagrad", l1=1e-4)
    assert all(group["fused"] for group in optimizer.param_groups)
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group["fused"] = None
    optimizer.load_state_dict(state)
    assert all(group["fused"] for group in optimizer.param_groups)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("name", "momentum", "nesterov"), [("gradient_descent", 0, False), ("nesterov", 0.9, True)])
def test_weights_of_sixteen_bits_move_as_those_of_pytorch_s_plain_loop(name, momentum, nesterov, dtype):
    torch.manual_seed(0)
    model = nn.Linear(40, 3).to(dtype)
    expected = copy.deepcopy(model)
    ours = build(model, name, lr=0.1)
    plain = torch.optim.SGD(
        expected.parameters(), lr=0.1, momentum=momentum, nesterov=nesterov, foreach=False, fused=False
    )
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        for one, other in zip(model.parameters(), expected.parameters(), strict=True):
            one.grad = other.grad = torch.randn(one.shape, generator=generator).to(dtype)
        ours.step()
        plain.step()
    for one, other in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.01, atol=0.01)
