"""What every method of sparse weights must do, run over the whole table."""

import copy

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from weightsmith import kinds, optim
from weightsmith.errors import InputError

METHODS = list(kinds.METHODS)
OPTIONS: dict[str, dict] = {
    "magnitude": {"sparsity": 0.8},
    "set": {"sparsity": 0.8, "every": 4},
    "rigl": {"sparsity": 0.8, "every": 4},
    "snip": {"sparsity": 0.8},
    "wanda": {"sparsity": 0.6},
    "movement": {"sparsity": 0.8},
    "l0": {"strength": 1e-3},
    "spred": {"strength": 5e-3, "end": 0.5},
    "l1": {"strength": 2e-3},
    "group_lasso": {"strength": 3e-3, "by": "columns"},
    "structured": {"sparsity": 0.5},
}
TO_A_SHARE = [name for name in METHODS if "sparsity" in kinds.METHODS[name].options]
MASKING = [name for name in METHODS if name not in ("l0",)]
PIXELS, LABELS = (torch.tensor(part) for part in load_digits(return_X_y=True))
PIXELS = PIXELS.float() / 8


def mlp(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 10))


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.arange(step * 100, step * 100 + 100) % len(PIXELS)
    return PIXELS[rows], LABELS[rows]


def data_for(method: str) -> dict:
    return {
        "loss": {"loss": lambda model: F.cross_entropy(model(PIXELS[:100]), LABELS[:100])},
        "samples": {"samples": [PIXELS[:100], (PIXELS[100:150],)]},
    }.get(kinds.METHODS[method].needs, {})


def apply(model: nn.Module, method: str, **more) -> kinds.KindController:
    return kinds.apply(model, "sparse", data=data_for(method), method=method, **{**OPTIONS[method], **more})


class Training:
    """A model and all that trains it."""

    def __init__(self, method: str, optimizer: str = "adam", attached: bool = True, seed: int = 0, **options):
        self.model = mlp(seed)
        self.controller = apply(self.model, method, **options)
        more = {"momentum": 0.9} if optimizer == "momentum" else {}
        lr = 0.05 if optimizer == "momentum" else 0.02 if method == "l0" else 0.01
        self.optimizer = optim.build(self.model, optimizer, lr, penalties=self.controller.penalties, **more)
        if attached:
            self.controller.attach(self.optimizer)

    def run(self, first: int, last: int, total: int, check=lambda: None) -> None:
        for step in range(first, last):
            self.optimizer.zero_grad()
            inputs, labels = batch(step)
            loss = F.cross_entropy(self.model(inputs), labels) + self.controller.penalty()
            loss.backward()
            self.optimizer.step()
            self.controller.step((step + 1) / total)
            check()

    def weights(self) -> dict[str, torch.Tensor]:
        self.model.eval()
        found = {site.name: getattr(site.owner, site.attribute).detach() for site in self.controller.sites}
        self.model.train()
        return found


def share_of_zeros(weights) -> float:
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def test_the_options_here_are_those_of_the_table():
    assert list(OPTIONS) == METHODS
    for name, method in kinds.METHODS.items():
        assert method.name == name
        assert method.description
        assert method.paper.split()[-1].isdigit()
        assert set(OPTIONS[name]) <= set(method.options)


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_and_is_sparse(method):
    training = Training(method)
    training.run(0, 150, 150)
    weights = training.weights()
    if method in TO_A_SHARE:
        expected = OPTIONS[method]["sparsity"]
        assert share_of_zeros(weights.values()) == pytest.approx(expected, abs=0.02)
    else:
        assert share_of_zeros(weights.values()) > 0.2
    with torch.no_grad():
        accuracy = (training.model.eval()(PIXELS).argmax(1) == LABELS).float().mean()
    assert accuracy > 0.7


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
@pytest.mark.parametrize("method", MASKING)
def test_masked_weights_and_their_momentum_are_exactly_zero(method, optimizer):
    stronger = {"strength": 0.02} if (method, optimizer) == ("group_lasso", "momentum") else {}
    training = Training(method, optimizer, **stronger)
    sites = training.controller.sites

    def check() -> None:
        for site in sites:
            mask = kinds.mask_of(site).mask
            weight = getattr(site.owner, site.attribute)
            assert not weight[~mask].any()
            assert not torch.signbit(weight[~mask]).any()
            assert not site.stored[~mask].any()
            for value in training.optimizer.state[site.stored].values():
                if isinstance(value, torch.Tensor) and value.shape == mask.shape:
                    assert not value[~mask].any()

    training.run(0, 40, 40, check)
    assert any(bool((~kinds.mask_of(site).mask).any()) for site in sites)


@pytest.mark.parametrize("method", [name for name in MASKING if name not in ("set", "rigl")])
def test_zeros_stay_zero(method):
    training = Training(method)
    masks = [kinds.mask_of(site).mask for site in training.controller.sites]
    seen = [mask.clone() for mask in masks]

    def check() -> None:
        for before, now in zip(seen, masks, strict=True):
            assert not (now & ~before).any()
            before.copy_(now)

    training.run(0, 40, 40, check)


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(method, tmp_path):
    whole = Training(method)
    whole.run(0, 30, 30)
    first = Training(method)
    first.run(0, 11, 30)  # the step before an update
    parts = (first.model.state_dict(), first.optimizer.state_dict(), first.controller.state_dict())
    torch.save(parts, tmp_path / "checkpoint.pt")
    second = Training(method, seed=5)
    model, optimizer, controller = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    second.model.load_state_dict(model)
    second.optimizer.load_state_dict(optimizer)
    second.controller.load_state_dict(controller)
    second.run(11, 30, 30)
    expected = whole.model.state_dict()
    assert expected.keys() == second.model.state_dict().keys()
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("method", METHODS)
def test_deepcopy_is_independent(method):
    training = Training(method)
    training.run(0, 6, 30)
    copied = copy.deepcopy(training)
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    copied.run(6, 20, 30)
    assert all(torch.equal(value, before[name]) for name, value in training.model.state_dict().items())
    training.run(6, 20, 30)
    for name, value in training.model.state_dict().items():
        assert torch.equal(value, copied.model.state_dict()[name]), name


@pytest.mark.parametrize("method", METHODS)
def test_it_compiles(method):
    torch._dynamo.reset()
    training = Training(method)
    compiled = torch.compile(training.model, backend="eager", fullgraph=True)
    for step in range(10):  # beyond the first update
        training.optimizer.zero_grad()
        inputs, labels = batch(step)
        outputs = compiled(inputs)
        torch.testing.assert_close(outputs, training.model(inputs))
        F.cross_entropy(outputs, labels).backward()
        training.optimizer.step()
        training.controller.step((step + 1) / 10)


@pytest.mark.parametrize("method", METHODS)
def test_mixed_precision_and_16_bit_weights(method):
    training = Training(method)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = training.model(PIXELS[:10])
    assert outputs.dtype == torch.bfloat16
    outputs.float().sum().backward()
    model = mlp().bfloat16()
    more = {
        "loss": {"loss": lambda model: model(PIXELS[:9].bfloat16()).float().square().sum()},
        "samples": {"samples": [PIXELS[:9].bfloat16()]},
    }.get(kinds.METHODS[method].needs, {})
    controller = kinds.apply(model, "sparse", data=more, method=method, **OPTIONS[method])
    controller.step(1.0)
    assert model[2].weight.dtype == torch.bfloat16
    model(torch.ones(2, 64, dtype=torch.bfloat16)).sum().backward()


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_the_loss(method):
    model = mlp().double()
    kinds.apply(
        model,
        "sparse",
        data={"loss": lambda model: model(PIXELS[:9].double()).square().sum()}
        if method == "snip"
        else {"samples": [PIXELS[:9].double()]}
        if method == "wanda"
        else {},
        method=method,
        **OPTIONS[method],
    )
    inputs = PIXELS[:5].double()
    stored = model[2].parametrizations.weight.original
    model(inputs).square().sum().backward()
    direction = torch.randn_like(stored) * (stored.detach() != 0)
    with torch.no_grad():
        values = []
        for shift in (1e-6, -1e-6):
            stored += shift * direction
            values.append(float(model(inputs).square().sum()))
            stored -= shift * direction
    assert float((stored.grad * direction).sum()) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_unknown_options_are_refused_and_nothing_is_changed(method):
    model = mlp()
    keys = list(model.state_dict())
    with pytest.raises(InputError, match=r"unknown option of .*method"):
        kinds.apply(model, "sparse", data=data_for(method), method=method, **OPTIONS[method], sparsityy=0.5)
    with pytest.raises(InputError, match="unknown option of method"):
        kinds.sparse(model, method=method, **data_for(method), **OPTIONS[method], sparsityy=0.5)
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize("method", METHODS)
def test_convolutions_of_every_sort(method):
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2, padding=1, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 3, dilation=2),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="circular"),
        nn.Flatten(),
        nn.LazyLinear(3),
    )
    images = torch.randn(3, 2, 5, 5)
    model(images)
    more = {"loss": lambda model: model(images).square().mean()} if method == "snip" else {}
    more |= {"samples": [images]} if method == "wanda" else {}
    options = {**OPTIONS[method], **({"by": "rows"} if method == "group_lasso" else {})}
    controller = kinds.apply(model, "sparse", data=more, method=method, **options)
    controller.step(1.0)
    assert model(images).shape == (3, 3)
    if method in TO_A_SHARE and method != "structured":
        assert share_of_zeros([model[2].weight, model[4].weight, model[6].weight]) == pytest.approx(
            OPTIONS[method]["sparsity"], abs=0.1
        )


def test_another_method_is_refused_on_resuming():
    first, second = Training("set"), Training("rigl")
    with pytest.raises(InputError, match="of method 'set'"):
        second.controller.load_state_dict(first.controller.state_dict())


def test_what_cannot_be_attached():
    controller = apply(mlp(), "rigl")
    with pytest.raises(InputError, match="moves none of the sparse weights"):
        controller.attach(torch.optim.SGD(mlp().parameters(), lr=0.1))
    with pytest.raises(InputError, match=r"takes a torch\.optim\.Optimizer"):
        controller.attach(None)


@pytest.mark.parametrize("method", ["snip", "wanda"])
def test_data_is_asked_for_and_failures_leave_the_model_as_it_was(method):
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=kinds.METHODS[method].needs):
        kinds.sparse(model, 0.5, method)
    wrong = torch.ones(2, 3)
    data = {"loss": lambda model: model(wrong).sum()} if method == "snip" else {"samples": [wrong]}
    with pytest.raises(RuntimeError):
        kinds.sparse(model, 0.5, method, **data)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
