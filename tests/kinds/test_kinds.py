import copy
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError
from weightsmith.kinds.controller import AfterStep


def mlp(*widths: int, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = load_digits(return_X_y=True)
    return torch.tensor(pixels, dtype=torch.float32) / 8 - 1, torch.tensor(labels)


def train(model: nn.Module, controller: kinds.KindController, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """Accuracy on the digits after some full-batch steps."""
    inputs, labels = digits()
    for step in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        controller.step((step + 1) / steps)
    with torch.no_grad():
        return float((model(inputs).argmax(1) == labels).float().mean())


# --- sparse


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_smallest_weights_go(scope):
    model = mlp(20, 16, 10)
    dense = {name: model.get_parameter(name).detach().clone() for name in ("0.weight", "2.weight")}
    kinds.sparse(model, 0.7, scope=scope, start=0, end=0)
    everything = torch.cat([weight.abs().flatten() for weight in dense.values()])
    for name, weight in dense.items():
        pool = everything if scope == "global" else weight.abs().flatten()
        threshold = np.sort(pool.numpy())[round(0.7 * pool.numel())]
        effective = model.get_submodule(name[0]).weight
        torch.testing.assert_close(effective, torch.where(weight.abs() >= threshold, weight, 0.0), rtol=0, atol=0)


@given(progress=st.floats(0, 1), start=st.floats(0, 1), length=st.floats(0, 1), sparsity=st.floats(0, 0.999))
def test_schedule_is_the_cubic_of_zhu_and_gupta(progress, start, length, sparsity):
    end = min(1.0, start + length)
    schedule = kinds.Schedule(sparsity, start, end)
    if progress >= end:
        expected = sparsity
    elif progress <= start:
        expected = 0.0
    else:
        expected = sparsity + (0 - sparsity) * (1 - (progress - start) / (end - start)) ** 3
    assert schedule.at(progress) == pytest.approx(expected, abs=1e-12)


def test_sparse_network_learns_and_its_zeros_stay():
    model = mlp(64, 64, 10)
    controller = kinds.sparse(model, 0.9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-3)
    shares = []

    class Watched(kinds.KindController):
        def step(self, progress):
            zeros = [layer.weight == 0 for layer in (model[0], model[2])]
            controller.step(progress)
            now = [layer.weight == 0 for layer in (model[0], model[2])]
            assert all((after | ~before).all() for before, after in zip(zeros, now, strict=True))
            shares.append(sum(int(zero.sum()) for zero in now) / sum(zero.numel() for zero in now))

    watched = Watched("sparse", controller.assignments, controller.sites, AfterStep(lambda sites, progress: None))
    accuracy = train(model, watched, optimizer, 150)
    assert accuracy > 0.95
    assert shares[0] == 0
    assert shares[-1] == round(0.9 * (64 * 64 + 640)) / (64 * 64 + 640)
    assert 0.5 < shares[len(shares) // 3] < 0.9
    masked = ~model[0].parametrizations.weight[0].mask
    assert (model[0].parametrizations.weight.original[masked] == 0).all()


def test_the_full_share_is_reached_from_just_below():
    model = mlp(40, 50)
    controller = kinds.sparse(model, 0.5, start=0, end=0.8)
    controller.step(0.7)
    assert 0.4 < float((model[0].weight == 0).float().mean()) < 0.5
    controller.step(0.8)
    assert int((model[0].weight == 0).sum()) == 1000


def test_masks_never_open_again_when_progress_goes_back():
    model = mlp(10, 10)
    controller = kinds.sparse(model, 0.5)
    controller.step(1.0)
    zeros = model[0].weight == 0
    controller.step(0.3)
    assert torch.equal(model[0].weight == 0, zeros)


def test_not_a_number_is_kept_not_hidden():
    model = mlp(4, 3)
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    kinds.sparse(model, 0.5, start=0, end=0)
    assert model[0].weight[0, 0].isnan()


# --- what every kind must do

OPTIONS: dict[str, dict] = {
    "continuous": {"minimum": -0.1},
    "binary": {"scale": "channel"},
    "ternary": {"scale": "channel"},
    "sparse": {"sparsity": 0.6},
}


def test_table_names_functions_and_options():
    assert list(kinds.KINDS) == list(OPTIONS)
    for name, kind in kinds.KINDS.items():
        assert kind.name == name
        assert getattr(kinds, name) is kind.function
        assert name in kinds.__all__
        assert kind.description
        kind.check(OPTIONS[name])
        model = mlp(6, 8, 8, 4)
        controller = kinds.apply(model, name, **{**kind.defaults, **OPTIONS[name]})
        assert controller.kind == name


@pytest.mark.parametrize("kind", OPTIONS)
def test_state_dict_round_trip_resumes_exactly(kind):
    def fresh():
        model = mlp(64, 24, 24, 10)
        return model, kinds.apply(model, kind, **OPTIONS[kind])

    model, controller = fresh()
    train(model, controller, torch.optim.SGD(model.parameters(), lr=0.1), 5)
    resumed, its_controller = mlp(64, 24, 24, 10, seed=1), None
    its_controller = kinds.apply(resumed, kind, **OPTIONS[kind])
    resumed.load_state_dict(model.state_dict())
    its_controller.load_state_dict(controller.state_dict())
    assert its_controller.progress == controller.progress == 1
    for model_, controller_ in ((model, controller), (resumed, its_controller)):
        train(model_, controller_, torch.optim.SGD(model_.parameters(), lr=0.1), 3)
    for name, value in model.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("kind", OPTIONS)
def test_deepcopy_is_independent(kind):
    model = mlp(6, 8, 8, 4)
    controller = kinds.apply(model, kind, **OPTIONS[kind])
    copied, its_controller = copy.deepcopy((model, controller))
    before = model[2].weight.detach().clone()
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.neg_()
    its_controller.step(1.0)
    assert torch.equal(model[2].weight, before)
    assert not torch.equal(copied[2].weight, before)


@pytest.mark.parametrize("kind", ["binary", "ternary", "sparse"])
def test_parameters_stay_the_same_objects(kind):
    model = mlp(6, 8, 8, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    held = {id(parameter) for parameter in optimizer.param_groups[0]["params"]}
    kinds.apply(model, kind, **OPTIONS[kind])
    assert {id(parameter) for parameter in model.parameters()} == held


@pytest.mark.parametrize("kind", ["binary", "ternary", "sparse"])
def test_compiled_model_agrees(kind):
    model = mlp(6, 8, 8, 4)
    kinds.apply(model, kind, **OPTIONS[kind]).step(1.0)
    inputs = torch.randn(5, 6)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(inputs), model(inputs))
    compiled(inputs).sum().backward()
    assert model[2].parametrizations.weight.original.grad is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("kind", OPTIONS)
def test_other_dtypes_stay(kind, dtype):
    model = mlp(6, 8, 8, 4).to(dtype)
    controller = kinds.apply(model, kind, **OPTIONS[kind])
    controller.step(1.0)
    assert model[2].weight.dtype == dtype
    model(torch.ones(2, 6, dtype=dtype)).sum().backward()


def test_wrapped_models_are_looked_through():
    model = mlp(6, 8, 8, 4)
    controller = kinds.binary(nn.DataParallel(model))
    assert [site.name for site in controller.sites] == ["2.weight"]


def test_tied_embedding_and_recurrent_weights_stay_and_say_why():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(10, 4)
            self.lstm = nn.LSTM(4, 4)
            self.cell = nn.GRUCell(4, 4)
            self.free = nn.Embedding(3, 4)
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.embedding.weight

    model = Model()
    controller = kinds.sparse(model, 0.5, start=0, end=0, include=["*"])
    reasons = {assignment.weight: assignment.reason for assignment in controller.assignments}
    assert reasons["head.weight"] == "tied weights keep their values"
    assert reasons["embedding.weight"] == reasons["free.weight"] == "embedding: include it by name"
    assert "one block" in reasons["lstm.weight_ih_l0"]
    assert [site.name for site in controller.sites] == ["cell.weight_ih", "cell.weight_hh"]
    assert model.cell(torch.ones(1, 4)).shape == (1, 4)


def test_one_element_and_no_elements():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    kinds.binary(model, first_and_last="binary", scale="channel")
    kinds.continuous(nn.Sequential(nn.Linear(2, 1)), unit_norm=True)
    empty = nn.Sequential(nn.Linear(2, 2))
    empty[0].weight = nn.Parameter(torch.empty(0, 2))
    kinds.sparse(empty, 0.5, start=0, end=0)
    assert empty[0].weight.shape == (0, 2)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("binry", {}, "unknown kind 'binry'.*did you mean 'binary'"),
        ("binary", {"alphabet": "trits"}, "unknown alphabet 'trits'"),
        ("binary", {"scael": "none"}, "unknown option.*did you mean 'scale'"),
        ("binary", {"scale": "row"}, "unknown scale"),
        ("sparse", {}, "needs the option 'sparsity'"),
        ("sparse", {"sparsity": 1.0}, "below 1"),
        ("sparse", {"sparsity": float("nan")}, "below 1"),
        ("sparse", {"sparsity": "much"}, "sparsity is a share, a number, not 'much'"),
        ("sparse", {"sparsity": 0.5, "start": 0.9, "end": 0.1}, "start <= end"),
        ("sparse", {"sparsity": 0.5, "scope": "row"}, "unknown scope"),
        ("continuous", {"minimum": 1.0, "maximum": 0.0}, "no value lies"),
        ("continuous", {"unit_norm": True, "maximum": 0.1}, "unit_norm goes with"),
        ("sparse", {"sparsity": 0.5, "include": "fc1"}, "include pattern 'fc1' matches no weight"),
        ("sparse", {"sparsity": 0.5, "exclude": "*"}, "no weight can be sparse"),
    ],
)
def test_mistakes_get_one_line_and_change_nothing(kind, options, message):
    model = mlp(6, 8, 8, 4)
    keys = list(model.state_dict())
    with pytest.raises(InputError, match=message) as caught:
        kinds.apply(model, kind, **options)
    assert "\n" not in str(caught.value)
    assert list(model.state_dict()) == keys


def test_twice_is_refused():
    model = mlp(6, 8, 8, 4)
    kinds.binary(model)
    with pytest.raises(InputError, match=r"'2.weight' is binary already"):
        kinds.sparse(model, 0.5)


@pytest.mark.parametrize("progress", [-0.5, 1.5, float("nan"), float("inf")])
def test_progress_is_a_share(progress):
    controller = kinds.sparse(mlp(4, 3), 0.5)
    with pytest.raises(InputError, match="from 0 to 1"):
        controller.step(progress)


def test_state_of_another_kind_is_refused():
    controller = kinds.sparse(mlp(4, 3), 0.5)
    with pytest.raises(InputError, match="of kind 'binary'"):
        controller.load_state_dict({"kind": "binary", "progress": 0.5})


def computed() -> nn.Sequential:
    norms = nn.utils.parametrizations
    return nn.Sequential(
        nn.Linear(4, 4), norms.weight_norm(nn.Linear(4, 4)), norms.spectral_norm(nn.Linear(4, 4)), nn.Linear(4, 4)
    )


def test_weights_computed_from_several_tensors_are_left():
    model = computed()
    controller = kinds.sparse(model, 0.5, start=0, end=0)
    assert controller.assignments[1].reason == "a parametrization computes it from several tensors"
    assert [float((layer.weight == 0).float().mean()) > 0 for layer in model] == [True, False, True, True]
    kinds.binary(computed(), first_and_last="binary").step(1.0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"kind": "continuous", "minimum": math.nan}, "minimum"),
        ({"kind": "continuous", "maximum": "a"}, "maximum"),
        ({"kind": "sparse", "sparsity": "0.5"}, "sparsity"),
        ({"kind": "sparse", "sparsity": None}, "sparsity"),
        ({"kind": "sparse", "sparsity": 0.5, "start": "a"}, "start"),
    ],
)
def test_options_of_the_wrong_type_are_named(options, named):
    options = dict(options)
    make = getattr(kinds, options.pop("kind"))
    with pytest.raises(InputError, match=named):
        make(mlp(4, 4, 4), **options)


def test_what_has_no_weights_is_named():
    with pytest.raises(InputError, match="NoneType"):
        kinds.binary(None)
    with pytest.raises(InputError, match="meta device"):
        kinds.sparse(mlp(4, 4, 4).to("meta"), 0.5)
    model = mlp(4, 4, 4)
    controller = kinds.sparse(model, 0.5)
    for progress in ("a", None):
        with pytest.raises(InputError, match="progress"):
            controller.step(progress)
    with pytest.raises(InputError, match="sparse already"):
        kinds.sparse(model, 0.5)


def test_a_masked_weight_never_comes_back_however_far_momentum_moves_it():
    model = mlp(8, 8, 8)
    controller = kinds.sparse(model, 0.8, start=0, end=1)
    controller.step(0.5)
    chains = [layer.parametrizations.weight for layer in (model[0], model[2])]
    masked = [~chain[0].mask.clone() for chain in chains]
    assert all(mask.any() for mask in masked)
    with torch.no_grad():
        for chain, mask in zip(chains, masked, strict=True):
            chain.original.masked_fill_(mask, 100.0)
    controller.step(1.0)
    for chain, mask in zip(chains, masked, strict=True):
        assert not chain[0].mask[mask].any()
        assert not chain.original[mask].any()


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "binary", "stochastic": True, "first_and_last": "binary"},
        {"kind": "sparse", "method": "set", "sparsity": 0.5, "every": 1},
        {"kind": "sparse", "method": "rigl", "sparsity": 0.5, "fan_in": True},
        {"kind": "sparse", "method": "l0", "strength": 0.1},
    ],
    ids=str,
)
def test_what_is_drawn_does_not_hang_on_the_default_device(options):
    states = []
    for default in ("cpu", "meta"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
        with torch.device(default):
            kinds.apply(model, **options).step(0.5)
        states.append(model.train()(torch.ones(2, 8)))
    assert torch.equal(*states)
