import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from weightsmith.recording import observer, record
from weightsmith.recording.budget import PARTS, Budget, Spacing, Stopwatch
from weightsmith.recording.measure import StepMeasurement
from weightsmith.store import RunWriter


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_stopwatch_charges_every_moment_once(clock):
    watch = Stopwatch(clock, "setup")
    clock.now += 5
    assert watch.switch("training") == "setup"
    clock.now += 10
    with watch.charging("sketches"):
        clock.now += 1
        with watch.charging("writing"):
            clock.now += 2
        clock.now += 3
    clock.now += 4
    watch.switch("training")
    assert {name: seconds for name, seconds in watch.seconds.items() if seconds} == {
        "setup": 5,
        "training": 14,
        "sketches": 4,
        "writing": 2,
    }
    assert sum(watch.seconds.values()) == clock.now - 100


def test_stopwatch_goes_back_after_an_error(clock):
    watch = Stopwatch(clock, "training")

    def fail():
        clock.now += 1
        raise KeyError

    with pytest.raises(KeyError):
        watch.timed("scalars", fail)
    clock.now += 1
    watch.switch("training")
    assert (watch.seconds["scalars"], watch.seconds["training"]) == (1, 1)


def train(clock, share, costs, steps, step_seconds=1e-3, bookkeeping=1e-7):
    """A training in which every activity is wanted at every step, and costs what `costs` says."""
    watch = Stopwatch(clock, "training")
    budget = Budget(share, watch, head_start=0.0)
    for name, cost in costs.items():
        budget.expect(name, cost)
    done = {name: [] for name in costs}
    for step in range(steps):
        clock.now += step_seconds
        with watch.charging("bookkeeping"):
            clock.now += bookkeeping
        budget.settle()
        for name, cost in costs.items():
            if budget.affords(name):
                with watch.charging(name):
                    clock.now += cost
                budget.observe(name, cost)
                done[name].append(step)
    spent = sum(watch.seconds[name] for name in (*PARTS, "bookkeeping"))
    return spent / watch.seconds["training"], done


@given(
    st.floats(1e-3, 0.5),
    st.fixed_dictionaries({name: st.floats(1e-5, 0.2) for name in PARTS}),
)
def test_budget_is_never_exceeded(share, costs):
    spent, _ = train(Clock(), share, costs, steps=400)
    assert spent <= share * (1 + 1e-9)


def test_budget_is_used(clock):
    costs = {"scalars": 2e-4, "activations": 1e-4, "sketches": 1e-3, "snapshots": 5e-3, "writing": 5e-3}
    spent, done = train(clock, 0.02, costs, steps=20_000)
    assert spent == pytest.approx(0.02, rel=0.05)
    for name, steps in done.items():
        assert len(steps) * costs[name] == pytest.approx(PARTS[name] * 0.02 * 20, rel=0.15)


def test_a_costly_activity_does_not_starve_a_cheap_one(clock):
    costs = {"scalars": 1e-4, "activations": 1e-4, "sketches": 10.0, "snapshots": 100.0, "writing": 1e-3}
    _, done = train(clock, 0.02, costs, steps=5_000)
    assert len(done["scalars"]) >= 0.4 * 0.02 * 5.0 / 1e-4 * 0.9
    assert not done["snapshots"]


def test_full_buckets_flow_over(clock):
    """Where everything else is cheap, sketches get far more than their own part."""
    costs = {"scalars": 1e-6, "activations": 1e-6, "sketches": 4e-4, "snapshots": 1e-6, "writing": 1e-6}
    _, done = train(clock, 0.02, costs, steps=10_000)
    assert len(done["sketches"]) > 0.7 * 0.02 * 10 / 4e-4


def test_a_debt_is_paid_off_before_the_next(clock):
    watch = Stopwatch(clock, "training")
    budget = Budget(0.1, watch, head_start=0.0)
    with watch.charging("snapshots"):
        clock.now += 1.0
    budget.expect("snapshots", 1.0)
    budget.expect("scalars", 0.1)
    assert budget.balance("snapshots") == -1.0
    assert not budget.affords("snapshots")
    for _ in range(1000):
        clock.now += 1.0
        watch.switch("training")
        budget.settle()
        if budget.affords("snapshots"):
            break
    # two seconds have to be earned; scalars' bucket soon is full, and all the rest goes to snapshots
    assert 20 <= watch.seconds["training"] <= 24


def test_a_pause_does_not_turn_into_a_burst(clock):
    watch = Stopwatch(clock, "training")
    budget = Budget(0.02, watch, head_start=0.0)
    budget.expect("scalars", 1e-3)
    clock.now += 3600
    watch.switch("training")
    budget.settle()
    assert budget.balance("scalars") <= 2e-3 + 1e-12


def test_wait_tells_when_it_can_be_afforded(clock):
    watch = Stopwatch(clock, "training")
    budget = Budget(0.02, watch, head_start=0.0)
    budget.expect("scalars", 1e-3)
    for name in PARTS:
        budget.expect(name, 1e-3)
    wait = budget.wait("scalars")
    assert wait == pytest.approx(1e-3 / (0.02 * PARTS["scalars"]))
    clock.now += wait * 1.001
    watch.switch("training")
    budget.settle()
    assert budget.affords("scalars")
    assert budget.wait("scalars") == 0.0


def test_no_limit_and_no_budget(clock):
    watch = Stopwatch(clock, "training")
    without_limit, without_budget = Budget(math.inf, watch), Budget(0.0, watch)
    without_limit.expect("scalars", 1e9)
    for budget in (without_limit, without_budget):
        clock.now += 1
        watch.switch("training")
        budget.settle()
    assert without_limit.affords("scalars")
    assert not without_budget.affords("scalars")
    assert without_budget.wait("scalars") == math.inf


def test_the_first_cost_seen_replaces_the_lack_of_one(clock):
    budget = Budget(0.1, Stopwatch(clock, "training"), head_start=0.0)
    budget.observe("activations", 2.0)
    budget.observe("activations", 3.0)
    clock.now += 1
    assert not budget.affords("activations")
    assert budget.wait("activations") > 0


def taken(spacing, steps, seconds):
    steps_taken = []
    for step in range(1, steps + 1):
        if spacing.wants(step, step * seconds):
            spacing.done(step, step * seconds)
            steps_taken.append(step)
    return steps_taken


def test_spacing_is_even_in_log_time_at_first():
    steps = taken(Spacing(growth=2.0, seconds=math.inf, share=0.0), 1000, 1e-3)
    assert steps == [1, 3, 7, 15, 31, 63, 127, 255, 511]


def test_spacing_is_even_later_and_bounded_in_the_long_run():
    steps = taken(Spacing(growth=1e9, seconds=2.0, share=1 / 250), 400, 1.0)
    assert steps == list(range(steps[0], 401, 2))
    day = taken(Spacing(growth=1.1, seconds=2.0, share=1 / 250), 86_400, 1.0)
    assert len(day) < 2000


class Ticking:
    """A clock that every look moves on a little, so that the recorder's own steps cost something."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1e-7
        return self.now


@pytest.mark.parametrize("budget", [0.005, 0.02, 0.1])
def test_budget_holds_over_a_whole_training(tmp_path, monkeypatch, budget):
    """With costs that only the clock knows: 0.3 ms to measure, 0.2 to sketch a tensor, 4 to write, 8 for a snapshot."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    clock = Ticking()
    monkeypatch.setattr("weightsmith.recording.recorder.perf_counter", clock)

    def costing(owner, name, seconds):
        real = getattr(owner, name)

        def method(*args, **kwargs):
            clock.now += seconds
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, method)

    costing(RunWriter, "write", 4e-3)
    costing(RunWriter, "snapshot", 8e-3)
    costing(StepMeasurement, "after", 3e-4)
    costing(observer, "take_sketch", 2e-4)
    with record(model, optimizer, budget=budget, store=tmp_path) as recorder:
        for _ in range(20_000):
            optimizer.step()
            clock.now += 1e-3
            recorder.step(loss=1.0)
        cost = recorder.cost
    assert recorder.failure is None
    assert cost.training == pytest.approx(20.0, rel=0.01)
    assert 0.8 * budget < cost.share < 1.1 * budget
    assert cost.measured > 50
    assert cost.sketched >= 15
    assert cost.snapshots > 1 or budget < 0.02


def test_the_head_start_is_lent_at_once_and_repaid_before_more_is_earned(clock):
    watch = Stopwatch(clock, "training")
    budget = Budget(0.1, watch, head_start=1.0)
    budget.expect("scalars", 0.1)
    assert budget.affords("scalars")
    assert budget.in_debt
    with watch.charging("scalars"):
        clock.now += PARTS["scalars"]
    assert not budget.affords("scalars")
    clock.now += 9
    watch.switch("training")
    budget.settle()
    assert budget.in_debt
    assert budget.balance("scalars") == pytest.approx(0.0)
    clock.now += 11
    watch.switch("training")
    budget.settle()
    assert not budget.in_debt
    assert budget.balance("scalars") > 0
