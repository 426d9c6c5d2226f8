"""The wrapper as an optimizer: both paths, state, hooks, schedulers, names and mistakes."""

import copy
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from weightsmith.errors import InputError
from weightsmith.optim import MuonWithAdamW, Proximal, build
from weightsmith.penalties import L1, L2, ElasticNet, GroupLasso, MaxNorm, Orthogonality

OPTIMIZERS = {
    "sgd": lambda params: torch.optim.SGD(params, lr=0.1),
    "momentum": lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9, dampening=0.2),
    "nesterov": lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.8, nesterov=True),
    "rmsprop": lambda params: torch.optim.RMSprop(params, lr=0.01),
    "centered": lambda params: torch.optim.RMSprop(params, lr=0.01, centered=True, eps=1e-2, momentum=0.5),
    "adam": lambda params: torch.optim.Adam(params, lr=0.01),
    "amsgrad": lambda params: torch.optim.Adam(params, lr=0.01, amsgrad=True),
    "adamw": lambda params: torch.optim.AdamW(params, lr=0.01, weight_decay=0.1),
    "adagrad": lambda params: torch.optim.Adagrad(params, lr=0.1, lr_decay=0.1),
    "fused adam": lambda params: torch.optim.Adam(params, lr=0.01, fused=True),
    "muon": lambda params: torch.optim.Muon(params, lr=0.01),
    "muon and adamw": lambda params: MuonWithAdamW(params, lr=0.01),
}
PENALTIES = [L1(0.05), L2(0.3), [L1(0.05), L2(0.3)], GroupLasso(0.02), MaxNorm(0.8)]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3))


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator)


def train(model, optimizer, steps, start=0):
    for index in range(start, start + steps):
        inputs, labels = batch(index)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()


def everything(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def run_single(weight, make, penalty, gradients):
    optimizer = Proximal(make([weight]), penalty)
    for gradient in gradients:
        weight.grad = gradient.to(weight.dtype).clone(memory_format=torch.preserve_format)
        optimizer.step()


# PyTorch's own compiled loops take a strided parameter's memory as dense and move it wrongly.
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if not name.startswith("fused")])
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@settings(max_examples=5)
@given(st.integers(0, 2**31), st.tuples(st.integers(1, 6), st.integers(1, 6)), st.booleans())
def test_compiled_and_plain_path_agree(name, penalty, seed, shape, double):
    kind = torch.float64 if double else torch.float32
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(shape, generator=generator, dtype=kind)
    gradients = torch.randn(6, *shape, generator=generator, dtype=kind)
    compiled = nn.Parameter(start.clone())
    plain = nn.Parameter(torch.stack([start, start], dim=-1)[..., 0])
    assert compiled.is_contiguous()
    run_single(compiled, OPTIMIZERS[name], penalty, gradients)
    run_single(plain, OPTIMIZERS[name], penalty, gradients)
    torch.testing.assert_close(plain, compiled, rtol=1e-5 if kind == torch.float32 else 1e-10, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_step_is_that_of_the_definition(name):
    """One proximal step by the formulas in double precision, from the state that PyTorch keeps."""
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(8, 4, generator=generator, dtype=torch.float64))
    inner = OPTIMIZERS[name]([weight])
    optimizer = Proximal(inner, ElasticNet(0.05, 0.1))
    shadow = nn.Parameter(weight.detach().clone())
    plain = OPTIMIZERS[name]([shadow])
    for count in range(1, 5):
        shadow.grad = weight.grad = torch.randn(8, 4, generator=generator, dtype=torch.float64)
        optimizer.step()
        plain.step()
        state = {key: np.asarray(value) for key, value in plain.state[shadow].items()}
        step = {
            "sgd": lambda s, t: 0.1,
            "momentum": lambda s, t: 0.05 * (0.9 ** (t - 1) + 0.8 * sum(0.9**k for k in range(t - 1))),
            "nesterov": lambda s, t: 0.05 * (1 + 0.8 * sum(0.8**k for k in range(t))),
            "rmsprop": lambda s, t: 0.01 / (np.sqrt(s["square_avg"]) + 1e-8),
            "centered": lambda s, t: (
                0.01 * sum(0.5**k for k in range(t)) / (np.sqrt(s["square_avg"] - s["grad_avg"] ** 2) + 1e-2)
            ),
            "adam": lambda s, t: 0.01 / (np.sqrt(s["exp_avg_sq"] / (1 - 0.999**t)) + 1e-8),
            "amsgrad": lambda s, t: 0.01 / (np.sqrt(s["max_exp_avg_sq"] / (1 - 0.999**t)) + 1e-8),
            "adamw": lambda s, t: 0.01 / (np.sqrt(s["exp_avg_sq"] / (1 - 0.999**t)) + 1e-8),
            "fused adam": lambda s, t: 0.01 / (np.sqrt(s["exp_avg_sq"] / (1 - 0.999**t)) + 1e-8),
            "adagrad": lambda s, t: 0.1 / (1 + (t - 1) * 0.1) / (np.sqrt(s["sum"]) + 1e-10),
            "muon": lambda s, t: 0.01,
            "muon and adamw": lambda s, t: 0.01,
        }[name](state, count)
        moved = shadow.detach().numpy()
        expected = np.sign(moved) * np.maximum(np.abs(moved) - 0.05 * step, 0) / (1 + 0.1 * step)
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
        with torch.no_grad():
            shadow.copy_(weight)


@pytest.mark.parametrize("setting", [{}, {"dampening": 0.3}, {"nesterov": True}])
def test_momentum_moves_as_if_l1_were_in_the_gradient_while_signs_last(setting):
    start = 5 * torch.tensor([[1.0, -1.0, 2.0]], dtype=torch.float64)
    proximal, loss_term = (nn.Parameter(start.clone()) for _ in range(2))
    first = Proximal(torch.optim.SGD([proximal], lr=0.02, momentum=0.9, **setting), L1(0.5))
    second = torch.optim.SGD([loss_term], lr=0.02, momentum=0.9, **setting)
    for _ in range(10):
        proximal.grad = 0.1 * proximal.detach()
        first.step()
        loss_term.grad = 0.1 * loss_term.detach() + 0.5 * loss_term.detach().sign()
        second.step()
        torch.testing.assert_close(proximal, loss_term, rtol=1e-12, atol=0)


def test_a_momentum_that_a_schedule_changes_is_followed():
    model = network()
    optimizer = Proximal(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), L1(1e-3), model)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=30)
    train(model, optimizer, 1)
    plan.step()
    masses = [1.0]
    for index in range(1, 20):
        momentum = optimizer.param_groups[0]["momentum"]
        train(model, optimizer, 1, index)
        plan.step()
        masses.append(momentum * masses[-1] + 1)
    assert optimizer.state[model[0].weight]["momentum_mass"] == pytest.approx(masses[-1])


@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adam", "adagrad"])
def test_biases_and_norms_are_left_alone(name):
    model, plain = network(), network()
    make = OPTIMIZERS[name]
    optimizer = Proximal(make(model.parameters()), L1(1e6), model)
    # One step of the plain optimizer moves the others in the same way.
    train(model, optimizer, 1)
    train(plain, make(plain.parameters()), 1)
    assert model[0].weight.eq(0).all()
    assert not torch.signbit(model[0].weight).any()
    for index, attribute in ((0, "bias"), (1, "weight"), (1, "bias"), (3, "bias")):
        assert torch.equal(getattr(model[index], attribute), getattr(plain[index], attribute))


@pytest.mark.parametrize("name", ["rmsprop", "adam", "amsgrad", "adagrad"])
def test_weights_of_an_input_that_is_always_zero_vanish_at_once(name):
    model = nn.Linear(4, 3)
    optimizer = Proximal(OPTIMIZERS[name](model.parameters()), L1(1e-4), model)
    inputs = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    inputs[:, 2] = 0
    model(inputs).square().mean().backward()
    optimizer.step()
    assert model.weight[:, 2].eq(0).all()
    assert model.weight[:, [0, 1, 3]].ne(0).all()


def test_penalties_by_name_and_groups_with_their_own_rates():
    model = network()
    inner = torch.optim.SGD([{"params": model[0].parameters()}, {"params": model[3].parameters(), "lr": 0.0}], lr=0.1)
    optimizer = Proximal(inner, {"0.*": L1(0.5), "3.weight": L1(1e3)}, model)
    before = everything(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    first, last = before[0], before[4]
    torch.testing.assert_close(model[0].weight.detach(), first.sign() * (first.abs() - 0.05).clamp_min(0))
    assert torch.equal(model[3].weight, last)


def test_include_and_exclude():
    model = network()
    optimizer = Proximal(torch.optim.SGD(model.parameters(), lr=1.0), L1(100.0), model, exclude="3")
    train(model, optimizer, 1)
    assert model[0].weight.eq(0).all()
    assert model[3].weight.ne(0).all()


def test_a_weight_without_gradient_is_left_alone():
    model = network()
    optimizer = Proximal(torch.optim.Adam(model.parameters()), L1(100.0), model)
    before = everything(model)
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, everything(model), strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_resuming_from_a_state_dictionary_is_bitwise_the_same(name):
    def make(model):
        matrices = [parameter for parameter in model.parameters() if parameter.ndim == 2]
        inner = OPTIMIZERS[name](matrices if name == "muon" else model.parameters())
        return Proximal(inner, [L1(1e-3), GroupLasso(1e-3)], model)

    model = network()
    optimizer = make(model)
    train(model, optimizer, 5)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    train(model, optimizer, 5, start=5)

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = network(seed=1)
    resumed.load_state_dict(saved["model"])
    again = make(resumed)
    again.load_state_dict(saved["optimizer"])
    train(resumed, again, 5, start=5)
    assert all(torch.equal(a, b) for a, b in zip(everything(model), everything(resumed), strict=True))


@pytest.mark.parametrize("name", ["momentum", "adam", "muon and adamw"])
@pytest.mark.parametrize("way", ["deepcopy", "save"])
def test_copies_with_their_model_go_on_alone(name, way):
    model = network()
    optimizer = Proximal(OPTIMIZERS[name](model.parameters()), L1(1e-3), model)
    train(model, optimizer, 3)
    if way == "deepcopy":
        other, copied = copy.deepcopy((model, optimizer))
    else:
        file = io.BytesIO()
        torch.save((model, optimizer), file)
        file.seek(0)
        other, copied = torch.load(file, weights_only=False)
    train(model, optimizer, 3, start=3)
    kept = everything(model)
    train(other, copied, 3, start=3)
    assert all(torch.equal(a, b) for a, b in zip(kept, everything(other), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(kept, everything(model), strict=True))
    assert len(copied.state) == len(optimizer.state)


def test_state_dictionaries_fit_the_wrapped_optimizer():
    model = network()
    wrapped = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, wrapped, 2)
    optimizer = Proximal(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), L1(1e-3), model)
    optimizer.load_state_dict(wrapped.state_dict())
    assert optimizer.state[model[0].weight]["momentum_mass"] == pytest.approx(10)
    assert "momentum_mass" not in optimizer.state[model[0].bias]
    train(model, optimizer, 1)
    wrapped.load_state_dict(optimizer.state_dict())
    train(model, wrapped, 1)


def test_hooks_of_all_kinds_run():
    model = network()
    optimizer = Proximal(torch.optim.Adam(model.parameters()), L1(1e-3), model)
    calls = []
    optimizer.register_step_pre_hook(lambda *given: calls.append("pre"))
    optimizer.register_step_post_hook(lambda hooked, *given: calls.append(hooked))
    optimizer.register_state_dict_post_hook(lambda hooked, state: calls.append("saved"))
    optimizer.register_load_state_dict_post_hook(lambda hooked: calls.append("loaded"))
    train(model, optimizer, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert calls == ["pre", optimizer, "saved", "loaded"]


def test_a_closure_is_evaluated_once_and_its_loss_returned():
    model = network()
    optimizer = Proximal(torch.optim.Adam(model.parameters()), L1(1e-3), model)
    calls = []

    def closure():
        calls.append(1)
        optimizer.zero_grad()
        loss = model(batch(0)[0]).square().mean()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() > 0
    assert len(calls) == 1
    assert optimizer.step() is None


def test_zero_grad():
    model = network()
    optimizer = Proximal(torch.optim.Adam(model.parameters()), L1(1e-3), model)
    model(batch(0)[0]).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert all(parameter.grad.eq(0).all() for parameter in model.parameters())
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("named", [True, False])
def test_groups_that_are_added_are_held_back_too(named):
    model, more = network(), nn.Linear(2, 2)
    given = model.named_parameters() if named else model.parameters()
    optimizer = Proximal(torch.optim.SGD(given, lr=1.0), L1(100.0))
    optimizer.add_param_group({"params": list(more.named_parameters() if named else more.parameters())})
    for parameter in more.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert len(optimizer.param_groups) == 2
    assert more.weight.eq(0).all()
    assert more.bias.ne(0).all()


def test_names_that_the_optimizer_knows():
    model = network()
    optimizer = Proximal(torch.optim.SGD(model.named_parameters(), lr=1.0), {"3.weight": L1(100.0)})
    train(model, optimizer, 1)
    assert model[3].weight.eq(0).all()
    assert model[0].weight.ne(0).any()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adam", "adagrad"])
def test_sixteen_bit_weights(name, kind):
    weight = nn.Parameter(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)).to(kind))
    before = weight.detach().clone()
    optimizer = Proximal(OPTIMIZERS[name]([weight]), L1(2.0))
    weight.grad = torch.full_like(weight, 0.01)
    optimizer.step()
    assert weight.isfinite().all()
    assert weight.eq(0).any()
    assert weight.abs().sum() < before.abs().sum()


def test_empty_weights_and_nan():
    empty = nn.Parameter(torch.zeros(0, 4))
    weight = nn.Parameter(torch.tensor([[math.nan, 1.0]]))
    optimizer = Proximal(torch.optim.Adam([empty, weight]), [L1(0.1), GroupLasso(0.1, "columns")])
    empty.grad, weight.grad = torch.zeros_like(empty), torch.ones_like(weight)
    optimizer.step()
    assert weight[0, 0].isnan()
    assert weight[0, 1].isfinite()


def test_sparse_gradients():
    table = nn.Embedding(10, 3, sparse=True)
    optimizer = build(table, "gradient_descent", 0.1, l1=0.5)
    before = table.weight.detach().clone()
    (0.0 * table(torch.tensor([1, 2]))).sum().backward()
    optimizer.step()
    torch.testing.assert_close(table.weight.detach(), before.sign() * (before.abs() - 0.05).clamp_min(0))


def test_tied_weights_are_held_back_once():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7, bias=False))
    model[1].weight = model[0].weight
    before = model[0].weight.detach().clone()
    optimizer = Proximal(torch.optim.SGD(model.parameters(), lr=0.1), L1(1.0), model)
    model[0].weight.grad = torch.zeros(7, 4)
    optimizer.step()
    torch.testing.assert_close(model[0].weight.detach(), before.sign() * (before.abs() - 0.1).clamp_min(0))


def test_gradient_scalers_skip_both_steps():
    model = network()
    optimizer = Proximal(torch.optim.SGD(model.parameters(), lr=0.1), L1(1e-2), model)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    before = everything(model)
    scaler.scale(model(batch(0)[0]).sum() * math.inf).backward()
    scaler.step(optimizer)
    scaler.update()
    assert all(torch.equal(a, b) for a, b in zip(before, everything(model), strict=True))
    optimizer.zero_grad()
    scaler.scale(model(batch(0)[0]).sum()).backward()
    scaler.step(optimizer)
    assert not torch.equal(before[0], model[0].weight)


def test_lightning_fabric():
    from lightning_fabric import Fabric

    def fit(set_up):
        model = network()
        optimizer = build(model, "adam", 0.01, l1=1e-3)
        if set_up:
            model, optimizer = Fabric(accelerator="cpu", devices=1).setup(model, optimizer)
        train(model, optimizer, 3)
        return everything(model)

    assert all(torch.equal(a, b) for a, b in zip(fit(False), fit(True), strict=True))


def test_mistakes():
    model = network()
    adam = torch.optim.Adam(model.parameters())
    with pytest.raises(
        InputError, match="no proximal step is known for Adadelta: wrap one of Adagrad, Adam, BopWithAdam, Muon"
    ):
        Proximal(torch.optim.Adadelta(model.parameters()), L1(0.1), model)
    with pytest.raises(InputError, match="pattern 'fc' matches no weight"):
        Proximal(adam, {"fc": L1(0.1)}, model)
    with pytest.raises(
        InputError, match=r"Orthogonality.*has no proximal step: add penalty.value\(weight\) of '0.weight'"
    ):
        Proximal(adam, Orthogonality(0.1), model)
    with pytest.raises(
        InputError, match=r"GroupLasso.*filters.* on '0.weight' needs .* 3 dimensions, got shape \(5, 6\)"
    ):
        Proximal(adam, GroupLasso(0.1, "filters"), model)
    with pytest.raises(InputError, match="the optimizer moves none of them"):
        Proximal(adam, L1(0.1), network())
    with pytest.raises(InputError, match="penalties act on no weight"):
        Proximal(torch.optim.Adam(model[1].parameters()), L1(0.1))
    with pytest.raises(InputError, match=r"real floating-point weights: '0\.0' is torch\.complex64"):
        Proximal(torch.optim.Adam([nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))]), L1(0.1))


def test_it_describes_itself():
    model = network()
    text = repr(Proximal(torch.optim.Adam(model.parameters()), L1(0.1), model))
    assert text.startswith("Proximal(L1(strength=0.1), Adam (")


@pytest.mark.parametrize("patterns", [{"include": "0"}, {"exclude": "3"}, {"include": iter(["0"])}])
def test_patterns_hold_for_groups_that_are_added_later(patterns):
    model = network()
    optimizer = torch.optim.SGD(model[0].named_parameters(prefix="0"), lr=0.1)
    if "exclude" in patterns:
        optimizer.add_param_group({"params": [*model[1].named_parameters(prefix="1")]})
        patterns = {"exclude": "3", "parameters": model}
    held = Proximal(optimizer, L1(100.0), **patterns)
    held.add_param_group({"params": [*model[3].named_parameters(prefix="3")]})
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    held.step()
    assert not model[0].weight.any()
    assert model[3].weight.all()
