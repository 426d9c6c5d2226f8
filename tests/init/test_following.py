import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from weightsmith.init import following_activations
from weightsmith.init.following import follow


class Functional(nn.Module):
    """Every way of writing an activation, behind every kind of step that does not count."""

    def __init__(self, untraceable: bool = False) -> None:
        super().__init__()
        self.untraceable = untraceable
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.residual = nn.Conv2d(4, 4, 3, padding=1)
        self.skip = nn.Conv2d(4, 4, 1)
        self.leaky = nn.Linear(16, 8)
        self.method = nn.Linear(8, 8)
        self.module = nn.Linear(8, 8)
        self.mish = nn.Mish()
        self.swish = nn.Linear(8, 8)
        self.gate = nn.Linear(8, 16)
        self.in_place = nn.Linear(8, 8)
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)
        self.calls = 0

    def forward(self, x):
        if self.untraceable and x.sum() > 1e9:
            return x
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        x = torch.relu(self.residual(x) + self.skip(x))
        x = x.view(x.shape[0], -1)
        x = F.leaky_relu(F.dropout(self.leaky(x), 0.5, self.training), 0.2)
        x = self.mish(self.module(self.method(x).tanh()))
        z = self.swish(x)
        x = z * torch.sigmoid(z)
        a, b = self.gate(x).chunk(2, dim=-1)
        x = F.relu_(self.in_place(a * torch.sigmoid(b)))
        x = x * (self.query(x) @ self.key(x).T).softmax(-1).sum(-1, keepdim=True)
        return self.head(x)


EXPECTED = {
    "conv": "relu",
    "residual": "relu",
    "skip": "relu",
    "leaky": "leaky_relu",
    "method": "tanh",
    "module": "mish",
    "swish": "silu",
    "gate": "sigmoid",
    "in_place": "relu",
    "query": "linear",
    "key": "linear",
    "head": "linear",
}
SAMPLE = torch.randn(5, 1, 4, 4)


def test_traced():
    model = Functional()
    found = follow(model)
    assert {path: following.name for path, following in found.items()} == EXPECTED
    assert found["leaky"].parameter == 0.2


def test_observed_where_it_cannot_be_traced():
    found = follow(Functional(untraceable=True), SAMPLE)
    assert {path: following.name for path, following in found.items()} == EXPECTED
    assert found["leaky"].parameter == 0.2


def test_the_sample_leaves_no_trace():
    model = Functional(untraceable=True).train()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    following_activations(model, SAMPLE)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("sample", [None, torch.randn(1), "nonsense", (1, 2, 3), {"unknown": 1}])
def test_never_fails(sample):
    assert following_activations(Functional(untraceable=True), sample) == {}


@pytest.mark.parametrize("form", [lambda s: s, lambda s: (s,), lambda s: {"x": s}])
def test_forms_of_a_sample(form):
    assert following_activations(Functional(untraceable=True), form(SAMPLE)) == EXPECTED


class Untraceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Sequential(nn.GELU(), nn.Linear(4, 4)))
        self.block = Functional()
        self.strange = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.ELU(0.5), Opaque(), nn.Linear(4, 4), Opaque())

    def forward(self, x):
        return self.features(x) if bool(x.sum() > 0) else x


class Opaque(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_parts_of_what_cannot_be_traced():
    found = follow(Untraceable())
    names = {path: following.name for path, following in found.items()}
    assert names["features.0"] == "gelu"
    assert "features.2.1" not in names  # what comes after the container is unknown
    assert names["block.conv"] == "relu"
    assert "block.head" not in names
    assert names["strange.0"] == "elu"
    assert found["strange.0"].parameter == 0.5
    assert names["strange.4"] == "linear"


def test_activation_modules_of_every_name():
    for name in ("ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "GELU", "SiLU", "Mish", "Hardswish", "ELU", "CELU",
                 "SELU", "Softplus", "LogSigmoid", "Tanhshrink", "Softshrink", "Hardshrink", "Tanh", "Hardtanh",
                 "Softsign", "Sigmoid", "Hardsigmoid"):  # fmt: skip
        model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), getattr(nn, name)(), nn.Linear(2, 2))
        expected = {"LeakyReLU": "leaky_relu"}.get(name, name.lower())
        assert following_activations(model) == {"0": expected, "3": "linear"}


def test_every_functional_activation():
    for name in ("relu", "relu6", "leaky_relu", "rrelu", "gelu", "silu", "mish", "hardswish", "elu", "celu", "selu",
                 "softplus", "logsigmoid", "tanhshrink", "softshrink", "hardshrink", "tanh", "hardtanh", "softsign",
                 "sigmoid", "hardsigmoid"):  # fmt: skip
        for untraceable in (False, True):
            model = OneFunction(getattr(F, name), untraceable)
            assert following_activations(model, torch.randn(2, 2)) == {"layer": name}, (name, untraceable)


class OneFunction(nn.Module):
    def __init__(self, function, untraceable):
        super().__init__()
        self.layer, self.function, self.untraceable = nn.Linear(2, 2), function, untraceable

    def forward(self, x):
        if self.untraceable:
            assert float(x.sum()) < 1e9
        return self.function(self.layer(x))


class QuickGELUActivation(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Swish(nn.SiLU):
    pass


@pytest.mark.parametrize("before", [[], [Opaque()]], ids=["traced", "observed"])
def test_activation_classes_of_other_libraries(before):
    model = nn.Sequential(*before, nn.Linear(2, 2), QuickGELUActivation(), nn.Linear(2, 2), Swish())
    names = list(following_activations(model, torch.ones(1, 2)).values())
    assert names == ["gelu", "silu"]


def test_learned_slope():
    for before in ([], [Opaque()]):
        model = nn.Sequential(*before, nn.Linear(2, 2), nn.PReLU(init=0.5))
        assert next(iter(follow(model, torch.ones(1, 2)).values())).parameter == 0.5


@pytest.mark.parametrize("activation", ["relu", "gelu", F.silu, nn.Tanh()])
def test_transformer_layers(activation):
    model = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, activation=activation, batch_first=True), 2, enable_nested_tensor=False
    )
    found = following_activations(model)
    name = (
        activation if isinstance(activation, str) else {"silu": "silu"}.get(getattr(activation, "__name__", ""), "tanh")
    )
    assert found["layers.1.linear1"] == name
    assert found["layers.0.linear2"] == "linear"
    assert found["layers.0.self_attn.out_proj"] == "linear"


def test_recurrent_attention_and_embedding():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(9, 8)
            self.lstm = nn.LSTM(8, 8, batch_first=True)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 2)

        def forward(self, tokens):
            x, _ = self.lstm(self.embedding(tokens))
            x = x + self.attention(x, x, x)[0]
            return self.head(x.mean(1)).log_softmax(-1)

    expected = {"embedding": "linear", "lstm": "linear", "attention": "linear", "attention.out_proj": "linear"}
    assert following_activations(Model()) == {**expected, "head": "log_softmax"}


def test_parametrized_and_wrapped_and_single():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    model = nn.Sequential(layer, nn.Tanh(), nn.Linear(3, 1))
    for wrapped in (model, nn.DataParallel(model), torch.compile(model, backend="eager")):
        assert following_activations(wrapped) == {"0": "tanh", "2": "linear"}
    assert following_activations(nn.Linear(2, 2)) == {"": "linear"}


def test_custom_layer_with_a_weight_of_its_own():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(3, 3))

        def forward(self, x):
            return x @ self.kernel

    for before in ([], [Opaque()]):
        model = nn.Sequential(*before, Dense(), nn.Softplus())
        assert list(following_activations(model, torch.ones(1, 3)).values()) == ["softplus"]


def test_on_the_meta_device():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 2), nn.PReLU(), nn.Linear(2, 2))
    assert following_activations(model) == {"0": "prelu", "2": "linear"}
