import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.train.data import from_datasets, load_data
from weightsmith.train.models import MODELS, build_model
from weightsmith.train.models.options import Activation, activation_module
from weightsmith.train.models.table import default_batch_norm, options_of, takes_batch_norm
from weightsmith.train.recipe import Recipe

SMALL = {
    "linear": {},
    "mlp": {"hidden": [16]},
    "cnn": {"channels": [4], "hidden": 16},
    "rnn": {"hidden": 16},
    "lstm": {"hidden": 16},
    "transformer": {"width": 16, "heads": 2, "layers": 1, "hidden": 16},
}


def data_of(shape, targets=None, rows=24):
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(rows) % 3 if targets is None else targets
    return from_datasets((torch.randn(rows, *shape, generator=generator), targets))


def build(name, data, batch_norm=None, seed=0, **options):
    recipe = Recipe.from_dict({"model": {"name": name, **options}, "batch_norm": batch_norm, "seed": seed})
    return build_model(recipe, data)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 6), (7, 5), (12,)])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_maps_every_row_shape_to_its_outputs(name, shape):
    if name == "cnn" and len(shape) != 3:
        pytest.skip("a cnn reads images")
    data = data_of(shape)
    model = build(name, data, **SMALL[name])
    inputs, _ = data.train.batch(torch.arange(5))
    assert model(inputs).shape == (5, 3)
    one = from_datasets((torch.randn(24, *shape), torch.randn(24)))
    assert build(name, one, **SMALL[name])(inputs).shape == (5, 1)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_the_digits(name):
    recipe = Recipe.from_dict({"model": {"name": name, **SMALL[name]}})
    data = load_data(recipe)
    model = build_model(recipe, data)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    inputs, targets = data.train.batch(torch.arange(len(data.train)))
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    model.eval()
    held_out, wanted = data.test.batch(torch.arange(len(data.test)))
    assert (model(held_out).argmax(1) == wanted).float().mean() > 0.85


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_has_a_readable_name_and_a_gradient(name):
    data = data_of((1, 8, 8))
    model = build(name, data, batch_norm=True if takes_batch_norm(MODELS[name]) else None, **SMALL[name])
    model(data.train.batch(torch.arange(6))[0]).square().sum().backward()
    names = [parameter for parameter, _ in model.named_parameters()]
    assert names[-2:] == ["output.weight", "output.bias"]
    for parameter, values in model.named_parameters():
        assert values.grad is not None, parameter
    expected = {
        "mlp": ["hidden.0.weight", "norms.0.weight"],
        "cnn": ["convolutions.0.weight", "norms.0.weight", "hidden.weight"],
        "rnn": ["recurrent.weight_ih_l0", "norm.weight"],
        "lstm": ["recurrent.weight_hh_l0", "norm.bias"],
        "transformer": ["embedding.weight", "position", "blocks.0.query.weight"],
    }
    assert set(expected.get(name, [])) <= set(names)


CHANGES = {
    "hidden": {"mlp": [7, 5], "cnn": 9, "rnn": 9, "lstm": 9, "transformer": 9},
    "channels": [3, 5],
    "layers": 3,
    "width": 24,
    "heads": 4,
    "activation": "tanh",
    "dropout": 0.5,
    "input_dropout": 0.5,
}


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in MODELS for option in options_of(MODELS[name])])
def test_no_option_does_nothing(name, option):
    data = data_of((1, 8, 8))
    value = CHANGES[option][name] if option == "hidden" else CHANGES[option]
    if (name, option) == ("rnn", "activation"):
        value = "relu"
    inputs, _ = data.train.batch(torch.arange(4))
    outputs = []
    for options in (SMALL[name], SMALL[name] | {option: value}):
        model = build(name, data, **options)
        torch.manual_seed(1)
        outputs.append(model(inputs))
    assert not torch.allclose(*outputs)


@pytest.mark.parametrize("name", [name for name in MODELS if takes_batch_norm(MODELS[name])])
def test_batch_norm_is_on_off_or_the_models_default(name):
    data = data_of((1, 8, 8))

    def normed(batch_norm):
        model = build(name, data, batch_norm, **SMALL[name])
        return any("BatchNorm" in type(module).__name__ for module in model.modules())

    assert normed(True)
    assert not normed(False)
    assert normed(None) == default_batch_norm(MODELS[name]) == (name == "cnn")


@pytest.mark.parametrize("name", ["linear", "transformer"])
def test_batch_norm_off_suits_every_model(name):
    assert build(name, data_of((6,)), batch_norm=False, **SMALL[name])


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_alone_decides_the_first_weights(name):
    data = data_of((1, 8, 8))
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = build(name, data, seed=5, **SMALL[name]).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = (build(name, data, seed=seed, **SMALL[name]).state_dict() for seed in (5, 6))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["output.weight"], other["output.weight"])


def test_every_activation_is_a_module_of_its_own():
    from typing import get_args

    values = torch.linspace(-3, 3, 50)
    expected = {name: getattr(F, name, getattr(torch, name, None)) for name in get_args(Activation)}
    expected["binary"] = lambda given: torch.where(given >= 0, 1.0, -1.0)
    for name, function in expected.items():
        torch.testing.assert_close(activation_module(name)(values), function(values))
    data = data_of((6,))
    model = build("mlp", data, hidden=[5, 5, 5], activation="elu")
    assert sum(isinstance(module, torch.nn.ELU) for module in model.modules()) == 3


def test_the_mlp_is_the_one_in_its_description():
    data = data_of((6,))
    model = build("mlp", data, hidden=[5, 4], activation="tanh")
    inputs, _ = data.train.batch(torch.arange(7))
    first, second, last = (model.hidden[0], model.hidden[1], model.output)
    expected = last(torch.tanh(second(torch.tanh(first(inputs)))))
    torch.testing.assert_close(model(inputs), expected)


def test_the_cnn_is_the_one_in_its_description():
    data = data_of((2, 9, 8))
    model = build("cnn", data, channels=[3, 4], hidden=6, batch_norm=False)
    inputs, _ = data.train.batch(torch.arange(7))
    maps = inputs
    for layer in model.convolutions:
        maps = F.max_pool2d(F.relu(F.conv2d(maps, layer.weight, layer.bias, padding=1)), 2)
    torch.testing.assert_close(model(inputs), model.output(F.relu(model.hidden(maps.flatten(1)))))


@pytest.mark.parametrize("name", ["rnn", "lstm"])
def test_recurrent_networks_read_images_row_by_row(name):
    data = data_of((2, 5, 4))
    model = build(name, data, hidden=6)
    inputs, _ = data.train.batch(torch.arange(3))
    assert model.recurrent.input_size == 8
    rows = torch.stack([torch.cat([image[0], image[1]], 1) for image in inputs])
    torch.testing.assert_close(model(inputs), model.output(model.recurrent(rows)[0][:, -1]))


def test_attention_is_that_of_torch():
    data = data_of((5, 4))
    model = build("transformer", data, **SMALL["transformer"])
    block = model.blocks[0]
    reference = torch.nn.TransformerEncoderLayer(16, 2, 16, 0.0, F.gelu, batch_first=True, norm_first=True)
    attention = reference.self_attn
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat([block.query.weight, block.key.weight, block.value.weight]))
        attention.in_proj_bias.copy_(torch.cat([block.query.bias, block.key.bias, block.value.bias]))
    attention.out_proj = copy.deepcopy(block.projection)
    reference.linear1, reference.linear2 = block.hidden, block.contraction
    reference.norm1, reference.norm2 = block.attention_norm, block.hidden_norm
    tokens = torch.randn(3, 5, 16)
    torch.testing.assert_close(block(tokens), reference(tokens), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "options", "message"),
    [
        ("cnn", (12,), {}, r"model cnn needs images .*, but a row has shape \(12,\): choose model mlp"),
        ("cnn", (1, 8, 8), {"channels": [2] * 4}, "model.channels: 4 blocks halve 8x8 images to nothing: give fewer"),
        ("rnn", (1025,), {}, "model rnn would read 1025 steps a row, at most 1024 are supported: choose model mlp"),
        ("transformer", (4000,), {}, "model transformer would read 4000 steps"),
        ("transformer", (5,), {"width": 10, "heads": 4}, "model.heads: 4 heads do not divide a width of 10"),
    ],
)
def test_rows_that_a_model_cannot_read_get_one_line(name, shape, options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        build(name, data_of(shape), **options)


def test_a_model_larger_than_memory_gets_one_line():
    with pytest.raises(InputError, match=r"^model: mlp of this size does not fit into memory: make it smaller$"):
        build("mlp", data_of((4,)), hidden=[10**13])


@given(
    st.lists(st.integers(1, 9), max_size=3),
    st.booleans(),
    st.floats(0, 0.9),
    st.integers(1, 4),
)
def test_any_mlp_can_be_built(hidden, batch_norm, dropout, features):
    model = build("mlp", data_of((features,)), batch_norm, hidden=hidden, dropout=dropout)
    assert model(torch.zeros(2, features)).shape == (2, 3)


def test_table_and_names_agree():
    assert all(name == info.name and info.summary for name, info in MODELS.items())
