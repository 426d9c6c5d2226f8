"""What the recorder says of a training on a GPU equals what NumPy says of values copied by hand, and nobody waits."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weightsmith import kinds
from weightsmith.recording import device as statistics
from weightsmith.recording import environment, record
from weightsmith.recording.activations import RECENT
from weightsmith.recording.measure import StepMeasurement, locate_non_finite
from weightsmith.recording.watched import named_models, watch
from weightsmith.sketch import Sketch
from weightsmith.sources.module import as_numpy
from weightsmith.store import Store

ALWAYS = math.inf


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with Store.open(tmp_path / "runs.db") as opened:
        yield opened


def tiny(cuda: torch.device, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 3)).to(cuda, dtype)


def batches(count: int, cuda: torch.device, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(8, 6, generator=generator).to(cuda, dtype),
            torch.randint(0, 3, (8,), generator=generator).to(cuda),
        )
        for _ in range(count)
    ]


def copied(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy().copy()


OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda model: torch.optim.SGD(model.parameters(), lr=0.5),
    "adam, one by one": lambda model: torch.optim.Adam(model.parameters(), lr=0.05, foreach=False),
    "adam, all at once": lambda model: torch.optim.Adam(model.parameters(), lr=0.05, foreach=True),
    "adam, fused": lambda model: torch.optim.Adam(model.parameters(), lr=0.05, fused=True),
    "adam, capturable": lambda model: torch.optim.Adam(model.parameters(), lr=0.05, capturable=True),
}


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64], ids=str
)
def test_statistics_equal_numpy(cuda, dtype):
    torch.manual_seed(0)
    after, before = (torch.randn(70, 30).to(dtype) for _ in range(2))
    after[0, :3], before[1, 0] = 0, math.nan
    found = statistics.weight_statistics(after.to(cuda), before.to(cuda)).tolist()
    new, old = (statistics.real(one).double().numpy() for one in (after, before))
    finite = np.isfinite(old)
    expected = [
        np.sum(new**2),
        np.sum((new - old)[finite] ** 2),
        np.sum(old[finite] ** 2),
        np.sum(np.sign(new) * np.sign(old) < 0),
        np.sum(new == 0),
        0,
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(
        statistics.squared_norm(before.to(cuda)).tolist(), [expected[2], np.sum(~finite)], rtol=1e-12
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_series_equal_those_of_values_copied_by_hand(cuda, store, make, dtype):
    model = tiny(cuda, dtype)
    optimizer = make(model)
    expected = []
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for inputs, targets in batches(12, cuda, dtype):
            loss = F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            before, gradients = copied(model[0].weight), [copied(one.grad) for one in model.parameters()]
            optimizer.step()
            recorder.step(loss=loss)
            after = copied(model[0].weight)
            expected.append(
                {
                    "norm": np.linalg.norm(after),
                    "update_ratio": np.linalg.norm(after - before) / np.linalg.norm(before),
                    "sign_flips": np.mean(np.sign(after) * np.sign(before) < 0),
                    "gradient_norm": np.linalg.norm(gradients[0]),
                    "all": math.sqrt(sum(np.sum(gradient**2) for gradient in gradients)),
                    "loss": loss.item(),
                }
            )
    run = recorder.run
    assert recorder.failure is None
    for name in ("norm", "update_ratio", "sign_flips", "gradient_norm"):
        series = run.series(name, "0.weight")
        assert series.steps.tolist() == list(range(1, 13)) if name != "norm" else series.steps.tolist()[-1] == 12
        np.testing.assert_allclose(series.values[-12:], [one[name] for one in expected], rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(run.series("gradient_norm").values, [one["all"] for one in expected], rtol=1e-6)
    np.testing.assert_array_equal(run.series("loss").values, [one["loss"] for one in expected])
    np.testing.assert_allclose(run.series("learning_rate").values, float(optimizer.param_groups[0]["lr"]))


@pytest.mark.parametrize("fused", [False, True])
def test_float16_with_a_loss_scaler(cuda, store, fused):
    model = tiny(cuda)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)
    scaler = torch.amp.GradScaler("cuda", init_scale=1024.0)
    expected = []
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for step, (inputs, targets) in enumerate(batches(8, cuda)):
            with torch.autocast("cuda", dtype=torch.float16):
                loss = F.cross_entropy(model(inputs).float(), targets)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            if step == 3:  # this step overflows, and the scaler leaves it out
                model[0].weight.grad[0, 0] = math.inf
            scale, gradient, before = scaler.get_scale(), copied(model[2].weight.grad), copied(model[2].weight)
            scaler.step(optimizer)
            scaler.update()
            recorder.step(loss=loss)
            if step == 3:
                np.testing.assert_array_equal(copied(model[2].weight), before)
            else:
                expected.append((step + 1, np.linalg.norm(gradient) / scale))
    run = recorder.run
    assert recorder.failure is None
    assert run.events("non_finite") == []
    series = run.series("gradient_norm", "2.weight")
    assert series.steps.tolist() == [step for step, _ in expected]
    np.testing.assert_allclose(series.values, [norm for _, norm in expected], rtol=1e-6)
    assert all(sketch.non_finite == 0 for _, sketch in run.sketches("0.weight", "gradient"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_sketches_and_snapshots_are_of_the_weights_of_their_step(cuda, store, dtype):
    model = tiny(cuda, dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weights, gradients = [as_numpy(model[0].weight.clone())], [None]
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for inputs, targets in batches(6, cuda, dtype):
            loss = F.cross_entropy(model(inputs).float(), targets)
            optimizer.zero_grad()
            loss.backward()
            gradients.append(as_numpy(model[0].weight.grad.clone()))
            optimizer.step()
            recorder.step(loss=loss)
            weights.append(as_numpy(model[0].weight.clone()))
        recorder.snapshot("asked")
    run = recorder.run
    assert recorder.failure is None
    for quantity, known in (("weight", weights), ("gradient", gradients)):
        found = dict(run.sketches("0.weight", quantity))
        assert len(found) >= 4
        for step, sketch in found.items():
            wanted = Sketch.of(known[step])
            np.testing.assert_array_equal(sketch.counts, wanted.counts, err_msg=f"{quantity} of step {step}")
            assert sketch.norm == wanted.norm
    steps = {snapshot.step for snapshot in run.snapshots()}
    assert {0, 1, 3, 6} <= steps
    for step in steps:
        assert run.source(step)["0.weight"].read().tobytes() == weights[step].tobytes(), step


KINDS: dict[str, Callable[[nn.Module], Any]] = {
    "binary": lambda model: kinds.binary(model, include="2.*"),
    "ternary": lambda model: kinds.apply(model, "ternary", include="2.*"),
    "sparse": lambda model: kinds.sparse(model, 0.5, include="2.*"),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_what_discrete_weights_do_is_the_same_on_both_devices(cuda, make):
    torch.manual_seed(0)
    here = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 3))
    make(here)
    there = deepcopy(here).to(cuda)
    found: dict[str, list[dict[str, float]]] = {"here": [], "there": []}
    measurements = {
        name: StepMeasurement(watch(named_models(model), "2.weight", ()))
        for name, model in (("here", here), ("there", there))
    }
    for _ in range(12):
        moves = [torch.randn(one.shape) * 0.1 for one in here.parameters()]
        for name, model in (("here", here), ("there", there)):
            measurements[name].before()
            with torch.no_grad():
                for parameter, move in zip(model.parameters(), moves, strict=True):
                    parameter.add_(move.to(parameter.device))
            (step,) = measurements[name].after()
            found[name].append(
                dict(pair for look in step.discrete for pair in zip(look.names, look.numbers.tolist(), strict=True))
                | dict(zip(("square", "zeros", "non_finite"), map(float, step.effective), strict=True))
            )
    assert found["here"][0]
    for one, other in zip(found["here"], found["there"], strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_dead_and_saturated_units(cuda, store, activation):
    found = {}
    for place in (torch.device("cpu"), cuda):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 40), activation(), nn.Linear(40, 3))
        with torch.no_grad():
            model[0].bias[:10] = -100.0
        model.to(place)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
        with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
            for inputs, targets in batches(RECENT + 3, place):
                loss = F.cross_entropy(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                recorder.step(loss=loss)
        name = "dead_units" if activation is nn.ReLU else "saturated_units"
        found[place.type] = recorder.run.series(name, "0.weight").values.tolist()
    assert len(found["cpu"]) >= 3
    assert min(found["cpu"]) >= 0.25
    assert found["cpu"] == pytest.approx(found["cuda"])  # shares are summed in another order


@pytest.mark.parametrize("mixed", [False, True])
def test_nobody_waits_for_the_device(cuda, store, mixed, nobody_waits):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 3)).to(cuda)
    kinds.binary(model, include="2.*")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    precision = torch.autocast("cuda", dtype=torch.bfloat16) if mixed else nullcontext()
    prepared = batches(30, cuda)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for inputs, targets in prepared:
            with nobody_waits():
                with precision:
                    loss = F.cross_entropy(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                recorder.step(loss=loss, other=loss.detach() * 2)
    assert recorder.failure is None
    assert recorder.cost.measured == 30
    np.testing.assert_allclose(recorder.run.series("other").values, 2 * recorder.run.series("loss").values)


def test_a_loss_that_is_not_finite_is_found_with_the_weight_at_fault(cuda, store):
    model = tiny(cuda)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for step, (inputs, targets) in enumerate(batches(6, cuda)):
            if step == 3:
                with torch.no_grad():
                    model[2].weight[1, 7] = math.nan
            loss = F.cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    events = [(event.step, event.payload["quantity"], event.payload["weight"]) for event in recorder.run.events()]
    assert (4, "loss", None) in events
    assert any(quantity == "weight" and weight == "2.weight" for _, quantity, weight in events)
    assert locate_non_finite(torch.tensor([1.0, math.inf, math.nan], device=cuda)) == 1


def test_weights_of_one_model_on_two_devices(cuda, store):
    torch.manual_seed(0)
    model = nn.ModuleList([nn.Linear(6, 6).double(), nn.Linear(6, 6).to(cuda), nn.Linear(6, 6)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    norms = []
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for _ in range(5):
            optimizer.zero_grad()
            sum(one.weight.square().sum().cpu() for one in model).backward()
            norms.append([np.linalg.norm(copied(one.weight.grad)) for one in model])
            optimizer.step()
            recorder.step()
    assert recorder.failure is None
    for at in range(3):
        series = recorder.run.series("gradient_norm", f"{at}.weight")
        np.testing.assert_allclose(series.values, [each[at] for each in norms], rtol=1e-6)


def test_a_step_captured_into_a_graph_is_left_alone(cuda, store):
    model = tiny(cuda)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, capturable=True)
    inputs, targets = batches(1, cuda)[0]

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = step()
        for _ in range(10):
            graph.replay()
            recorder.step(loss=loss)
    assert recorder.failure is None
    losses = recorder.run.series("loss").values
    assert len(losses) == 10
    assert (np.diff(losses) < 0).all()
    np.testing.assert_array_equal(recorder.run.source()["0.weight"].read(), as_numpy(model[0].weight))


def test_the_environment_names_the_device(cuda):
    assert torch.cuda.get_device_name(cuda) in environment()["devices"]
