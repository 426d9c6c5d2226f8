import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from weightsmith.errors import InputError
from weightsmith.recording import record
from weightsmith.recording.activations import RECENT
from weightsmith.store import Store

ALWAYS = math.inf


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "runs.db") as opened:
        yield opened


def tiny(*, seed=0, inputs=6, outputs=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, outputs))


def train(model, optimizer, recorder, steps, *, inputs=6, outputs=3):
    torch.manual_seed(1)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(torch.randn(8, inputs)), torch.randint(0, outputs, (8,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
        losses.append(loss.item())
    return losses


def steps_of(series):
    return series.steps.tolist()


def test_values_equal_those_computed_directly(store):
    model = tiny()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    expected = []
    with record(model, optimizer, budget=ALWAYS, store=store, name="tiny") as recorder:
        torch.manual_seed(1)
        for _ in range(12):
            loss = F.cross_entropy(model(torch.randn(8, 6)), torch.randint(0, 3, (8,)))
            loss.backward()
            before = model[0].weight.detach().double().numpy().copy()
            gradients = [parameter.grad.double().numpy().copy() for parameter in model.parameters()]
            optimizer.step()
            optimizer.zero_grad()
            recorder.step(loss=loss, extra=2)
            after = model[0].weight.detach().double().numpy()
            expected.append(
                {
                    "loss": loss.item(),
                    "norm": np.linalg.norm(after),
                    "update_ratio": np.linalg.norm(after - before) / np.linalg.norm(before),
                    "sign_flips": np.mean(np.sign(after) * np.sign(before) < 0),
                    "gradient_norm": np.linalg.norm(gradients[0]),
                    "all": math.sqrt(sum(np.sum(gradient**2) for gradient in gradients)),
                }
            )
    run = recorder.run
    assert recorder.failure is None
    assert (run.name, run.status, run.error) == ("tiny", "completed", None)
    assert steps_of(run.series("loss")) == list(range(1, 13))
    np.testing.assert_array_equal(run.series("loss").values, [one["loss"] for one in expected])
    assert run.series("extra").values.tolist() == [2.0] * 12
    assert set(run.series("learning_rate").values) == {0.5}
    for name in ("update_ratio", "sign_flips", "gradient_norm"):
        series = run.series(name, "0.weight")
        assert steps_of(series) == list(range(1, 13))
        np.testing.assert_allclose(series.values, [one[name] for one in expected], rtol=1e-6)
    assert max(run.series("sign_flips", "0.weight").values) > 0
    np.testing.assert_allclose(run.series("norm", "0.weight").values[1:], [one["norm"] for one in expected], rtol=1e-6)
    np.testing.assert_allclose(run.series("gradient_norm").values, [one["all"] for one in expected], rtol=1e-6)


def test_start_and_end_are_always_kept(store):
    model = tiny()
    start = model[0].weight.detach().clone()
    with record(model, budget=0.0, store=store) as recorder:
        with torch.no_grad():
            model[0].weight.zero_()
        for _ in range(5):
            recorder.step()
    run = recorder.run
    assert [(one.step, one.label) for one in run.snapshots()] == [(0, "initial"), (5, "final")]
    np.testing.assert_array_equal(run.source(0)["0.weight"].read(), start)
    assert not run.source()["0.weight"].read().any()
    sketches = dict(run.sketches("0.weight"))
    assert list(sketches) == [0, 5]
    assert (sketches[0].sparsity, sketches[5].sparsity) == (0.0, 1.0)
    assert run.series("zeros", "0.weight").values.tolist() == [0.0, 1.0]
    assert run.summary["zeros"]["0.weight"] == 1.0
    assert run.summary["steps"] == 5
    assert run.summary["recorder"]["measured"] == recorder.cost.measured == 0


def test_sketches_and_snapshots_are_spaced_in_log_time(store):
    model = tiny()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        train(model, optimizer, recorder, 60)
    run = recorder.run
    steps = [step for step, _ in run.sketches("2.weight")]
    assert steps[:14] == [*range(11), 12, 14, 16]
    assert steps[-1] == 60
    assert len(steps) < 40
    assert [step for step, _ in run.sketches("2.weight", "gradient")][:10] == list(range(1, 11))
    assert [one.step for one in run.snapshots()] == [0, 1, 3, 7, 15, 31, 60]
    assert recorder.cost.snapshots == 7


def test_gradient_sketch_is_of_the_gradient_that_was_applied(store):
    model = nn.Linear(4, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        model(torch.full((1, 4), 8.0)).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        recorder.step()
    ((step, sketch),) = recorder.run.sketches("weight", "gradient")
    assert step == 1
    assert sketch.norm == pytest.approx(1.0, rel=1e-5)


def test_accumulated_gradients(store):
    """One optimizer step every three backward passes, and the recorder told of each of them."""
    model = nn.Linear(4, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for micro in range(1, 10):
            model(torch.ones(1, 4)).sum().backward()
            if micro % 3 == 0:
                optimizer.step()
                optimizer.zero_grad()
            recorder.step()
    series = recorder.run.series("gradient_norm", "weight")
    assert steps_of(series) == [3, 6, 9]
    np.testing.assert_allclose(series.values, 6.0)


def test_two_optimizers_at_different_paces(store):
    models = {"generator": tiny(), "critic": tiny(seed=1)}
    first = torch.optim.SGD(models["generator"].parameters(), lr=0.1)
    second = torch.optim.SGD(models["critic"].parameters(), lr=0.2)
    with record(models, [first, second], budget=ALWAYS, store=store) as recorder:
        for step in range(1, 7):
            for model, optimizer in ((models["critic"], second), (models["generator"], first)):
                if optimizer is second or step % 3 == 0:
                    model(torch.ones(2, 6)).sum().backward()
                    optimizer.step()
                    optimizer.zero_grad()
            recorder.step()
    run = recorder.run
    assert steps_of(run.series("update_ratio", "critic.0.weight")) == [1, 2, 3, 4, 5, 6]
    assert steps_of(run.series("update_ratio", "generator.0.weight")) == [3, 6]
    assert {info.name for info in run.weights} >= {"critic.0.weight", "generator.2.bias"}


def test_loss_scaler_skips_a_step(store):
    model = nn.Linear(2, 1, bias=False)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for value in (1.0, math.inf, 1.0):
            scaler.scale(model(torch.full((1, 2), value)).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            recorder.step()
    series = recorder.run.series("gradient_norm", "weight")
    assert steps_of(series) == [1, 3]
    np.testing.assert_allclose(series.values, math.sqrt(2))


def test_fused_optimizer_under_a_loss_scaler(store):
    model = nn.Linear(2, 1, bias=False)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for value in (1.0, math.inf, 1.0):
            scaler.scale(model(torch.full((1, 2), value)).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            recorder.step()
    series = recorder.run.series("gradient_norm", "weight")
    assert steps_of(series) == [1, 3]
    np.testing.assert_allclose(series.values, math.sqrt(2))


def test_closure(store):
    model = tiny()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)
    inputs = torch.randn(8, 6)

    def closure():
        optimizer.zero_grad()
        loss = model(inputs).square().mean()
        loss.backward()
        return loss

    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for _ in range(3):
            recorder.step(loss=optimizer.step(closure))
    run = recorder.run
    assert steps_of(run.series("gradient_norm", "0.weight")) == [1, 2, 3]
    assert (run.series("update_ratio", "0.weight").values > 0).all()


def test_without_an_optimizer_weights_are_compared_between_steps(store):
    model = nn.Linear(2, 2, bias=False)
    with record(model, budget=ALWAYS, store=store) as recorder:
        for _ in range(4):
            with torch.no_grad():
                model.weight.mul_(-2)
            recorder.step()
    run = recorder.run
    series = run.series("update_ratio", "weight")
    assert steps_of(series) == [1, 2, 3, 4]
    np.testing.assert_allclose(series.values, 3.0)
    assert run.series("sign_flips", "weight").values.tolist() == [1.0] * 4
    assert len(run.series("gradient_norm", "weight")) == 0


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda model: torch.compile(model, backend="eager")])
def test_wrappers_leave_no_trace(store, wrap):
    plain = tiny()
    model = wrap(plain)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        train(model, optimizer, recorder, 3)
    run = recorder.run
    assert recorder.failure is None
    assert [info.name for info in run.weights] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert steps_of(run.series("update_ratio", "0.weight")) == [1, 2, 3]


def test_fabric_wrappers(store):
    fabric_module = pytest.importorskip("lightning_fabric")
    fabric = fabric_module.Fabric(accelerator="cpu", devices=1)
    plain = tiny()
    model, optimizer = fabric.setup(plain, torch.optim.SGD(plain.parameters(), lr=0.1))
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        train(model, optimizer, recorder, 3)
    assert steps_of(recorder.run.series("update_ratio", "0.weight")) == [1, 2, 3]


def test_frozen_weights_are_recorded_at_the_ends(store):
    model = tiny()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        train(model, optimizer, recorder, 4)
    run = recorder.run
    assert steps_of(run.series("norm", "0.weight")) == [0, 4]
    assert [step for step, _ in run.sketches("0.weight")] == [0, 4]
    assert steps_of(run.series("norm", "2.weight")) == [0, 1, 2, 3, 4]


def test_unfrozen_and_added_parameters_are_measured_from_then_on(store):
    model = tiny()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        train(model, optimizer, recorder, 2)
        model[0].requires_grad_(True)
        optimizer.add_param_group({"params": model[0].parameters()})
        train(model, optimizer, recorder, 3)
    steps = steps_of(recorder.run.series("update_ratio", "0.weight"))
    assert steps[-1] == 5
    assert len(steps) >= 2


def test_parametrized_weight(store):
    class Sign(nn.Module):
        def forward(self, weight):
            return weight + (weight.sign() - weight).detach()

    model = nn.Linear(4, 2, bias=False)
    parametrize.register_parametrization(model, "weight", Sign())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for _ in range(2):
            model(torch.ones(1, 4)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            recorder.step()
    run = recorder.run
    assert [info.name for info in run.weights] == ["weight"]
    np.testing.assert_allclose(run.series("norm", "weight").values, math.sqrt(8))
    assert 0 < run.series("update_ratio", "weight").values[0] < 1
    assert dict(run.sketches("weight"))[2].counts.sum() == 8
    assert set(np.abs(run.source()["weight"].read()).ravel()) == {1.0}


def test_dead_units_reach_the_run(store):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([-100.0, 100.0, 100.0, 100.0]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        train(model, optimizer, recorder, RECENT + 2, inputs=3, outputs=2)
    series = recorder.run.series("dead_units", "0.weight")
    assert steps_of(series) == [RECENT, RECENT + 1, RECENT + 2]
    assert set(series.values) == {0.25}
    assert not any(module._forward_hooks for module in model.modules())
    assert not optimizer._optimizer_step_pre_hooks


def test_bfloat16_model(store):
    model = tiny().bfloat16()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        model(torch.ones(2, 6, dtype=torch.bfloat16)).sum().backward()
        optimizer.step()
        recorder.step()
    run = recorder.run
    expected = model[0].weight.detach().double().norm().item()
    assert run.series("norm", "0.weight").values[-1] == pytest.approx(expected, rel=1e-9)
    assert run.source()["0.weight"].dtype == "bfloat16"


def test_non_finite_values_are_counted_and_located(store):
    model = nn.Linear(4, 3, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        for step in range(1, 4):
            model(torch.ones(1, 4)).sum().backward()
            if step == 2:
                model.weight.grad[1, 2] = math.nan
            optimizer.step()
            optimizer.zero_grad()
            recorder.step(loss=torch.tensor(math.nan) if step == 3 else 1.0)
    run = recorder.run
    assert run.series("non_finite", "weight").values.tolist() == [0, 0, 1, 1]
    assert run.series("gradient_non_finite", "weight").values.tolist() == [0, 1, 0]
    assert np.isfinite(run.series("norm", "weight").values).all()
    events = [(event.step, event.payload) for event in run.events("non_finite")]
    where = {"weight": "weight", "index": 6, "count": 1, "position": [1, 2]}
    assert (2, {"quantity": "gradient"} | where) in events
    assert (2, {"quantity": "weight"} | where) in events
    assert (3, {"quantity": "loss", "weight": None, "index": None, "count": 1}) in events
    assert len(events) == 3
    assert np.isnan(run.series("loss").values[-1])


def test_a_non_finite_loss_leads_to_the_weight_even_without_budget(store):
    model = tiny()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=0.0, store=store) as recorder:
        recorder.step(loss=1.0)
        with torch.no_grad():
            model[2].weight[2, 4] = math.inf
        recorder.step(loss=math.inf)
    payloads = [event.payload for event in recorder.run.events("non_finite") if event.step == 2]
    assert [(one["quantity"], one["weight"], one["index"]) for one in payloads] == [
        ("loss", None, None),
        ("weight", "2.weight", 14),
    ]


def test_log_events_and_snapshots_by_hand(store):
    model = tiny()
    with record(model, budget=0.0, store=store, snapshots=False) as recorder:
        recorder.step()
        recorder.log(val_loss=torch.tensor(0.5), val_accuracy=np.float32(0.25), epoch=1)
        recorder.event("checkpoint", path="somewhere")
        recorder.snapshot("best")
        recorder.set_summary({"task": "classification"})
        assert recorder.run.status == "running"
        assert recorder.run.series("val_loss").values.tolist() == [0.5]
    run = recorder.run
    assert run.series("val_accuracy").steps.tolist() == [1]
    assert [(event.step, event.payload) for event in run.events("checkpoint")] == [(1, {"path": "somewhere"})]
    assert [one.label for one in run.snapshots()] == ["best"]
    assert run.summary["task"] == "classification"


def test_users_mistakes_are_named(store):
    model = tiny()
    with pytest.raises(InputError, match="budget is -1"):
        record(model, budget=-1.0, store=store)
    with pytest.raises(InputError, match="resume"):
        record(model, step=3, store=store)
    with pytest.raises(InputError, match="optimizer is a int"):
        record(model, [1], store=store)
    recorder = record(model, store=store)
    with pytest.raises(InputError, match="inside `with"):
        recorder.step()
    with recorder:
        with pytest.raises(InputError, match="'loss' is Tensor"):
            recorder.step(loss=torch.ones(2))
        with pytest.raises(InputError, match="'note'"):
            recorder.log(note="text")
        with pytest.raises(InputError, match="JSON"):
            recorder.event("odd", value=object())
        with pytest.raises(InputError, match="label"):
            recorder.snapshot("../up")
    assert recorder.failure is None
    assert recorder.run.status == "completed"


def test_resume_forgets_what_came_after(store):
    model = tiny()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        losses = train(model, optimizer, recorder, 8)
    with record(model, optimizer, budget=ALWAYS, store=store, resume=recorder.run_id, step=5) as again:
        assert again.steps == 5
        train(model, optimizer, again, 3)
    run = again.run
    assert again.run_id == recorder.run_id
    assert steps_of(run.series("loss")) == list(range(1, 9))
    assert run.series("loss").values.tolist()[:5] == losses[:5]
    assert steps_of(run.series("norm", "0.weight")) == list(range(9))
    assert [step for step, _ in run.sketches("0.weight")] == list(range(9))
    assert run.summary["steps"] == 8
    assert run.status == "completed"


def test_location_instead_of_a_store(tmp_path):
    with record(tiny(), store=tmp_path / "there", budget=0.0) as recorder:
        recorder.step(loss=1)
    assert recorder.run.series("loss").values.tolist() == [1.0]
    with Store.open(tmp_path / "there") as store:
        assert store.run("latest").environment["packages"]["torch"]


def test_the_users_models_can_be_copied_while_they_are_recorded(store):
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with record(model, optimizer, budget=ALWAYS, store=store) as recorder:
        train(model, optimizer, recorder, 2)
        assert model[0]._forward_hooks  # else the copy below shows nothing
        best, moved = copy.deepcopy((model, optimizer))
        assert pickle.loads(pickle.dumps(model)).state_dict().keys() == model.state_dict().keys()
        train(best, moved, recorder, 1)
    assert recorder.failure is None
    assert steps_of(recorder.run.series("norm", "0.weight")) == [0, 1, 2, 3]


def test_each_optimizer_has_its_own_learning_rate_and_gradient_sketches(store):
    models = {"often": tiny(), "rarely": tiny(seed=1)}
    often, rarely = (
        torch.optim.SGD(model.parameters(), lr=rate) for model, rate in zip(models.values(), (0.1, 0.2), strict=True)
    )
    sketched = []
    with record(models, [often, rarely], budget=ALWAYS, store=store) as recorder:
        for step in range(1, 61):
            for model in models.values():
                model(torch.randn(8, 6)).square().mean().backward()
            often.step()
            often.zero_grad()
            if step % 15 == 0:
                rarely.step()
                rarely.zero_grad()
                sketched.append(step)
            recorder.step()
        run = recorder.run
    assert set(run.series("learning_rate").values) == {0.1}
    assert run.series("learning_rate_2").steps.tolist() == sketched
    assert set(run.series("learning_rate_2").values) == {0.2}
    assert [step for step, _ in run.sketches("rarely.0.weight", "gradient")] == sketched


def test_a_recorder_records_one_run(store):
    model = tiny()
    recorder = record(model, store=store)
    for ask in ("run_id", "files", "run", "cost"):
        with pytest.raises(InputError, match="no run yet"):
            getattr(recorder, ask)
    with recorder, pytest.raises(InputError, match="one run"):
        recorder.__enter__()
    with pytest.raises(InputError, match="one run"):
        recorder.__enter__()
    assert recorder.run.status == "completed"


@pytest.mark.parametrize("loss", [torch.tensor(1 + 2j), 10**400])
@pytest.mark.parametrize("steps", [0, 20])
def test_a_loss_that_is_no_real_number_is_refused_and_recording_goes_on(store, loss, steps):
    model = tiny()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with record(model, optimizer, budget=0, store=store) as recorder:
        train(model, optimizer, recorder, steps)
        with pytest.raises(InputError, match="single number"):
            recorder.step(loss=loss)
        with pytest.raises(InputError, match="label"):
            recorder.snapshot(3)
        with pytest.raises(InputError, match="kind"):
            recorder.event(3)
    assert recorder.failure is None
    assert len(recorder.run.series("loss").steps) == steps


@pytest.mark.parametrize("arguments", [{"budget": "all"}, {"budget": None}, {"optimizer": 3}])
def test_arguments_of_the_wrong_type_are_named(arguments):
    with pytest.raises(InputError, match=next(iter(arguments))):
        record(tiny(), **arguments)
