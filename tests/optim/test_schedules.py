import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler

from weightsmith.errors import InputError
from weightsmith.optim import SCHEDULES, Proximal, build_schedule
from weightsmith.optim.schedules import cosine_factor, one_cycle_factor, step_factor, warm_up_factor
from weightsmith.penalties import L1


def optimizer_of(lr=0.1):
    return torch.optim.SGD([nn.Parameter(torch.ones(2))], lr=lr)


def rates(make, steps=60):
    optimizer = optimizer_of()
    plan = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        plan.step()
    return found


PYTORCH = {
    "step": (lambda o: lr_scheduler.StepLR(o, 7, gamma=0.5), {"every": 7, "gamma": 0.5}),
    "cosine": (lambda o: lr_scheduler.CosineAnnealingLR(o, 60, eta_min=0.01), {"floor": 0.1}),
    "one_cycle": (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=60, cycle_momentum=False), {}),
    "constant": (lambda o: lr_scheduler.ConstantLR(o, factor=1.0), {}),
    "warm_up": (lambda o: lr_scheduler.LinearLR(o, 1 / 12, total_iters=11), {"warm_up": 12}),
}


@pytest.mark.parametrize("name", PYTORCH)
def test_equals_pytorch(name):
    theirs, options = PYTORCH[name]
    steps = 59 if name == "one_cycle" else 60
    assert rates(lambda o: build_schedule(o, name, 60, **options), steps) == pytest.approx(rates(theirs, steps))


def test_closed_forms():
    assert [step_factor(step, 2, 0.5) for step in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    assert cosine_factor(0, 10, 0.2) == 1
    assert cosine_factor(5, 10, 0.2) == pytest.approx(0.6)
    assert cosine_factor(10, 10, 0.2) == cosine_factor(99, 10, 0.2) == pytest.approx(0.2)
    assert one_cycle_factor(29, 100, 0.3, 0.04, 0.0) == pytest.approx(1)
    assert one_cycle_factor(99, 100, 0.3, 0.04, 0.0) == pytest.approx(0)
    assert [warm_up_factor(step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert warm_up_factor(0, 0) == 1


@pytest.mark.parametrize("name", SCHEDULES)
@given(total=st.integers(1, 200), warm_up=st.floats(0, 0.99))
def test_factors_stay_between_zero_and_one(name, total, warm_up):
    schedule = build_schedule(optimizer_of(), name, total, warm_up=warm_up)
    for step in range(total + 3):
        schedule.last_epoch = step
        assert 0 <= schedule.factor <= 1 + 1e-12
        assert math.isfinite(schedule.factor)


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "one_cycle"])
def test_warm_up_before_any_other(name):
    plain = rates(lambda o: build_schedule(o, name, 50), 50)
    warmed = rates(lambda o: build_schedule(o, name, 60, warm_up=10), 60)
    assert warmed[:10] == pytest.approx([0.01 * step for step in range(1, 11)])
    assert warmed[10:] == pytest.approx(plain)
    assert rates(lambda o: build_schedule(o, name, 40, warm_up=0.25), 40)[:10] == warmed[:10]


def test_groups_keep_their_ratio():
    weights = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.4}, {"params": weights[1:]}], lr=0.1)
    plan = build_schedule(optimizer, "cosine", 10)
    for _ in range(5):
        optimizer.step()
        plan.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.2, 0.05])
    assert plan.get_last_lr() == pytest.approx([0.2, 0.05])


def test_plateau():
    optimizer = optimizer_of()
    plan = build_schedule(optimizer, "reduce_on_plateau", gamma=0.5, patience=1, floor=0.3)
    theirs = optimizer_of()
    reference = lr_scheduler.ReduceLROnPlateau(theirs, factor=0.5, patience=1, min_lr=0.03)
    for measure in [1.0, 0.9, 0.9, 0.9, 0.95, 0.5, math.nan, 0.5, 0.49, 1, 1, 1, 1, 1, 1, 1]:
        optimizer.step()
        plan.observe(measure)
        plan.step()
        reference.step(measure)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
    assert plan.factor == 0.3


def test_plateau_of_a_measure_that_should_rise():
    plan = build_schedule(optimizer_of(), "reduce_on_plateau", mode="max", patience=0)
    for measure, factor in [(math.nan, 0.1), (0.5, 0.1), (0.6, 0.1), (0.6, 0.01)]:
        plan.observe(measure)
        assert plan.factor == pytest.approx(factor)


@pytest.mark.parametrize("name", SCHEDULES)
def test_resuming_continues(name):
    optimizer = optimizer_of()
    plan = build_schedule(optimizer, name, 30, warm_up=5)
    for _ in range(12):
        plan.observe(1.0)
        optimizer.step()
        plan.step()
    other = optimizer_of(lr=7.0)
    again = build_schedule(other, name, 30, warm_up=5)
    again.load_state_dict(plan.state_dict())
    for _ in range(10):
        assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
        for one, schedule in ((optimizer, plan), (other, again)):
            schedule.observe(1.0)
            one.step()
            schedule.step()
    assert again.state_dict() == plan.state_dict()


def test_a_proximal_optimizer_is_scheduled():
    weight = nn.Parameter(torch.ones(1, 2))
    optimizer = Proximal(torch.optim.SGD([weight], lr=0.1), L1(1.0))
    plan = build_schedule(optimizer, "step", 10, every=1, gamma=0.5)
    for expected in (0.9, 0.85):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        plan.step()
        torch.testing.assert_close(weight.detach(), torch.full((1, 2), expected))


def test_the_number_of_steps_may_be_unknown():
    build_schedule(optimizer_of(), "constant")
    build_schedule(optimizer_of(), "warm_up", warm_up=5)
    build_schedule(optimizer_of(), "step", every=5)
    for name, options in (
        ("cosine", {}),
        ("step", {}),
        ("one_cycle", {}),
        ("warm_up", {}),
        ("constant", {"warm_up": 0.1}),
    ):
        with pytest.raises(InputError, match=f"schedule '{name}' must know total_steps"):
            build_schedule(optimizer_of(), name, **options)


MISTAKES = {
    "unknown schedule 'cosin': choose from .*; did you mean 'cosine'": ("cosin", {}),
    "schedule 'cosine' has no option 'flor': its options are floor; did you mean 'floor'": ("cosine", {"flor": 0.1}),
    "schedule 'constant' has no option 'gamma': it has none": ("constant", {"gamma": 0.1}),
    r"floor of schedule 'cosine' must be a number in \[0, 1\), got 2": ("cosine", {"floor": 2}),
    "every of schedule 'step' must be a whole number of at least 1, got 0": ("step", {"every": 0}),
    "warm_up must be at most the 10 total_steps, got 11": ("constant", {"warm_up": 11}),
    "warm_up of build_schedule must be": ("constant", {"warm_up": -1}),
    "mode of schedule 'reduce_on_plateau' must be one of min, max, got 'least'": (
        "reduce_on_plateau",
        {"mode": "least"},
    ),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_named(message):
    name, options = MISTAKES[message]
    with pytest.raises(InputError, match=message):
        build_schedule(optimizer_of(), name, 10, **options)


def test_total_steps_must_be_whole():
    with pytest.raises(InputError, match="total_steps of build_schedule must be a whole number of at least 1, got 0"):
        build_schedule(optimizer_of(), "cosine", 0)
