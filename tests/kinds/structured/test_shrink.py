"""Shrunk models compute what the masked ones did."""

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError


def dead(layer: nn.Module, outputs: list[int], *, bias: float | None = None) -> None:
    axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
    with torch.no_grad():
        layer.weight.index_fill_(axis, torch.tensor(outputs), 0.0)
        if bias is not None:
            layer.bias[outputs] = bias


def settle(model: nn.Module, *shape: int) -> nn.Module:
    """Running statistics that are not those of the start."""
    model.train()
    for _ in range(3):
        model(torch.randn(*shape) * 2 + 1)
    return model.eval()


def check(model: nn.Module, inputs: torch.Tensor, **options) -> kinds.Shrunk:
    """Shrink, compare with the model before, and rebuild from shapes and state."""
    fresh = copy.deepcopy(model)
    with torch.no_grad():
        expected = model(inputs)
        result = kinds.shrink(model, **options)
        found = model(inputs)
    if not options:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for parameter in fresh.parameters():
        nn.init.zeros_(parameter)
    kinds.resize(fresh, json.loads(json.dumps(result.shapes)))
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.eval()(inputs), found)
    assert str(fresh) == str(model)
    assert all(type(parameter) is nn.Parameter for parameter in model.parameters())
    model.train()(inputs).square().sum().backward()
    return result


def sizes(model: nn.Module) -> list[int]:
    return [module.weight.shape[0] for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Sigmoid(), nn.GELU(), nn.PReLU(), nn.Dropout()])
def test_mlp(activation):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 9), activation, nn.Linear(9, 7), activation, nn.Linear(7, 4, bias=False)).eval()
    dead(model[0], [0, 4, 8])
    dead(model[2], [1, 2])
    result = check(model, torch.randn(10, 6))
    assert sizes(model) == [6, 5, 4]
    assert [(cut.layer, cut.outputs, cut.left) for cut in result.cuts] == [("0", 9, 6), ("2", 7, 5), ("4", 4, 4)]
    assert "the model returns them" in str(result)


def test_what_nothing_uses_goes_and_takes_along_what_only_it_used():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        model[4].weight[:, [0, 5]] = 0
        model[2].weight[[1, 2, 3, 4], 7] = 0  # the last hidden unit feeds only what nothing uses
    check(model, torch.randn(5, 3))
    assert sizes(model) == [7, 4, 2]


def cnn() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 4, 10),
        nn.BatchNorm1d(10),
        nn.Tanh(),
        nn.Linear(10, 3),
    )


def test_cnn_with_batch_norm():
    model = settle(cnn(), 7, 1, 14, 14)
    with torch.no_grad():
        for norm in (model[1], model[5], model[10]):
            nn.init.normal_(norm.bias)
    dead(model[0], [1, 3])
    dead(model[4], [0])
    dead(model[9], [9, 2, 5])
    check(model, torch.randn(5, 1, 14, 14))
    assert sizes(model) == [6, 5, 7, 3]
    assert model[9].weight.shape == (7, 20)
    assert (model[1].num_features, model[5].num_features, model[10].num_features) == (6, 5, 7)


def test_a_constant_beside_padding_keeps_its_channel_unless_it_is_zero():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 2, 3, padding=1))
    dead(model[0], [0], bias=1.0)
    dead(model[0], [1], bias=-1.0)  # 0 behind the activation
    dead(model[0], [2], bias=0.0)
    check(model, torch.randn(2, 1, 6, 6))
    assert sizes(model) == [4, 2]
    around = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 2, 3, padding=1, padding_mode="reflect"))
    dead(around[0], [0, 5], bias=1.0)
    check(around, torch.randn(2, 1, 6, 6))
    assert sizes(around) == [4, 2]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first = nn.Conv2d(8, 10, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(10)
        self.second = nn.Conv2d(10, 8, 3, padding=1)
        self.after = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, images):
        images = F.relu(self.stem(images))
        hidden = F.relu(self.norm(self.first(images)))
        images = F.relu(self.after(self.second(hidden)) + images, inplace=True)
        return self.head(images.mean((2, 3)))


def test_a_residual_sum_shares_one_choice():
    torch.manual_seed(0)
    model = settle(Residual(), 4, 3, 8, 8)
    dead(model.stem, [0, 1, 2], bias=0.0)
    dead(model.second, [1, 2, 3])
    dead(model.first, [4])
    with torch.no_grad():
        model.after.weight[[1, 2]] = 0
        model.after.bias[[1, 2]] = torch.tensor([-1.0, 0.0])
        model.norm.bias[4] = -3
        model.norm.running_mean[4] = 0
    check(model, torch.randn(3, 3, 8, 8))
    # 2 is 0 on both branches; 1 is -1 before the last activation and 0 behind it; 0 and 3 live on one branch
    assert sizes(model) == [6, 9, 6, 4]


def test_pruning_by_sparsity_equals_masking():
    torch.manual_seed(0)
    model = settle(Residual(), 4, 3, 8, 8)
    result = check(model, torch.randn(3, 3, 8, 8), sparsity=0.5)
    assert sizes(model) == [4, 5, 4, 4]
    assert {cut.layer: cut.left for cut in result.cuts} == {"stem": 4, "first": 5, "second": 4, "head": 4}


def test_after_training_with_whole_outputs_masked():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10), nn.Linear(10, 2)
    )
    kinds.sparse(model, 0.5, "structured", start=0, end=0)
    expected = model(torch.ones(2, 1, 6, 6)).detach()
    kinds.shrink(model)
    assert sizes(model)[1:] == [5, 2]
    torch.testing.assert_close(model(torch.ones(2, 1, 6, 6)).detach(), expected, rtol=1e-4, atol=1e-5)
    assert not hasattr(model[0], "parametrizations")


@pytest.mark.parametrize(
    "view", [lambda x: x.view(x.size(0), -1), lambda x: torch.flatten(x, 1), lambda x: x.reshape((x.shape[0], -1))]
)
def test_other_ways_to_flatten(view):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.ConvTranspose2d(2, 5, 2), nn.Linear(5 * 16, 3)

        def forward(self, images):
            return self.head(view(F.max_pool2d(torch.relu(self.conv(images)), 1)))

    model = Model()
    dead(model.conv, [3])
    check(model, torch.randn(2, 2, 3, 3))
    assert model.head.in_features == 4 * 16


class Odd(nn.Module):
    """Steps that keep what they touch."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(7))
        self.norm = nn.LayerNorm(6)
        self.layers[5].weight = self.layers[4].weight

    def forward(self, inputs):
        layers = self.layers
        inputs = self.norm(layers[0](inputs))
        inputs = layers[1](layers[1](inputs))
        inputs = torch.cat([layers[2](inputs), inputs], 1)[:, :6]
        inputs = layers[3](inputs).softmax(1)
        return layers[6](layers[5](layers[4](inputs)))


def test_what_is_not_understood_keeps_its_channels():
    torch.manual_seed(0)
    model = Odd()
    for layer in model.layers:
        dead(layer, [1])
    result = check(model, torch.randn(4, 6))
    assert sizes(model) == [6] * 7
    assert all("all stay" in cut.reason or "more than once" in cut.reason for cut in result.cuts)


def test_grouped_convolutions_stay():
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 2, 1))
    dead(model[0], [0])
    dead(model[2], [0])
    check(model, torch.randn(2, 2, 3, 3))
    assert sizes(model) == [4, 4, 2]


@given(
    widths=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    norm=st.booleans(),
    bias=st.booleans(),
    share=st.floats(0, 1),
    seed=st.integers(0, 999),
)
def test_any_mlp(widths, norm, bias, share, seed):
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in zip([3, *widths], [*widths, 2], strict=True):
        layers += [nn.Linear(before, after, bias=bias)]
        layers += [nn.BatchNorm1d(after)] if norm else []
        layers += [nn.ELU()]
    model = nn.Sequential(*layers)
    settle(model, 8, 3)
    with torch.no_grad():
        for module in model:
            if isinstance(module, nn.Linear):
                module.weight *= torch.rand(module.weight.shape[0], 1) >= share
                module.weight *= torch.rand(module.weight.shape[1]) >= share / 2
    inputs = torch.randn(5, 3)
    expected = model(inputs)
    kinds.shrink(model)
    torch.testing.assert_close(model(inputs), expected, rtol=1e-4, atol=1e-4)


def test_mistakes():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, inputs):
            return self.inner(inputs) if inputs.sum() > 0 else inputs

    model = Branching()
    kinds.sparse(model, 0.5, start=0, end=0)
    with pytest.raises(InputError, match="cannot be traced"):
        kinds.shrink(model)
    assert hasattr(model.inner, "parametrizations")
    with pytest.raises(InputError, match="sparsity is a share"):
        kinds.shrink(nn.Linear(2, 2), 1.0)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([], "mapping"),
        ({"3": {"weight": [1, 1]}}, "no such module"),
        ({"0": {}}, "its weight's among them"),
        ({"0": {"weight": [9, 3]}}, r"'0.weight' cannot be brought to the shape \[9, 3\]: here it is of \[4, 3\]"),
        ({"0": {"weight": [4]}}, "cannot be brought"),
        ({"0": {"weight": [2.0, 3]}}, "cannot be brought"),
        ({"0": {"weight": [-1, 3]}}, "cannot be brought"),
        ({"0": {"weight": [4, 3], "gain": [4]}}, "here it has none"),
    ],
)
def test_shapes_of_another_model(shapes, message):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with pytest.raises(InputError, match=message):
        kinds.resize(model, shapes)
    assert model[0].weight.shape == (4, 3)
