import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from weightsmith.errors import InputError
from weightsmith.kinds.packed import BinaryConv2d, BinaryLinear, SparseConv2d, SparseLinear, TernaryLinear


def valued(shape: tuple[int, ...], kind: str, seed: int = 0) -> torch.Tensor:
    """Values of a kind, times a scale for each output."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator)
    scale = torch.rand((shape[0], *[1] * (len(shape) - 1)), generator=generator) + 0.5
    return {
        "signs": torch.where(values >= 0, 1.0, -1.0) * scale,
        "bits": (values >= 0) * scale,
        "ternary": values.sign() * (values.abs() > 0.6) * scale,
        "sparse": values * (values.abs() > 1.3),
        "sparse signs": values.sign() * (values.abs() > 1.3) * scale,
    }[kind]


LINEAR = {
    "signs": BinaryLinear,
    "bits": BinaryLinear,
    "ternary": TernaryLinear,
    "sparse": SparseLinear,
    "sparse signs": SparseLinear,
}
CONVOLUTIONS = {kind: BinaryConv2d if layer is BinaryLinear else SparseConv2d for kind, layer in LINEAR.items()}
del CONVOLUTIONS["ternary"]


def linear(kind: str, columns: int = 37, rows: int = 11, bias: bool = True, seed: int = 0):
    """A dense layer and its packed copy."""
    torch.manual_seed(seed)
    dense = nn.Linear(columns, rows, bias)
    dense.weight.data = valued((rows, columns), kind, seed)
    return dense.requires_grad_(False), LINEAR[kind].from_dense(dense)


def convolution(kind: str, seed: int = 0, **options):
    torch.manual_seed(seed)
    dense = nn.Conv2d(4, 6, (3, 2), **options)
    dense.weight.data = valued(tuple(dense.weight.shape), kind, seed)
    return dense.requires_grad_(False), CONVOLUTIONS[kind].from_dense(dense)


@pytest.mark.parametrize("kind", LINEAR)
@settings(max_examples=15)
@given(data=st.data())
def test_linear_layers_give_what_the_dense_ones_do(kind, data):
    columns, rows = data.draw(st.integers(1, 150)), data.draw(st.integers(1, 70))
    leading = data.draw(st.sampled_from([(), (0,), (1,), (5,), (2, 3), (17,)]))
    dense, packed = linear(kind, columns, rows, data.draw(st.booleans()), data.draw(st.integers(0, 99)))
    inputs = torch.randn(*leading, columns)
    found = packed(inputs)
    torch.testing.assert_close(found, dense(inputs), rtol=1e-4, atol=1e-4)
    assert found.is_contiguous()


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kind", CONVOLUTIONS)
@settings(max_examples=12)
@given(data=st.data())
def test_convolutions_give_what_the_dense_ones_do(kind, data):
    options = {
        "groups": data.draw(st.sampled_from([1, 2])),
        "dilation": data.draw(st.sampled_from([1, 2, (1, 2)])),
        "bias": data.draw(st.booleans()),
        "padding": data.draw(st.sampled_from([0, 1, (2, 0), "same", "valid"])),
    }
    options["stride"] = 1 if options["padding"] == "same" else data.draw(st.sampled_from([1, 2, (2, 1)]))
    dense, packed = convolution(kind, data.draw(st.integers(0, 99)), **options)
    height, width = data.draw(st.integers(5, 12)), data.draw(st.integers(5, 12))
    inputs = torch.randn(data.draw(st.integers(0, 3)), 4, height, width)
    torch.testing.assert_close(packed(inputs), dense(inputs), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(packed.dense()(inputs), dense(inputs), rtol=0, atol=0)


@pytest.mark.parametrize("kind", LINEAR)
def test_the_state_is_what_a_file_holds_and_comes_back(kind):
    dense, packed = linear(kind)
    state = packed.state_dict()
    assert set(state) - {"bias"} == {f"weight.{name}" for name in packed.weight.encoded().tensors}
    other = LINEAR[kind].from_dense(linear(kind, seed=1)[0])
    inputs = torch.randn(3, 37)
    if kind != "sparse":  # of which another number of values may be kept
        other.load_state_dict(state)
        assert torch.equal(other(inputs), packed(inputs))
    for copied in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert torch.equal(copied(inputs), packed(inputs))
        assert all(torch.equal(value, copied.state_dict()[name]) for name, value in state.items())
    torch.testing.assert_close(packed.dense().weight, dense.weight, rtol=0, atol=0)


def test_one_bit_a_weight_in_memory():
    _, packed = linear("signs", 512, 512, bias=False)
    held = sum(buffer.nbytes for buffer in packed.buffers()) + sum(each.nbytes for each in packed.parameters())
    assert held <= 512 * 512 * 4 / 20


@pytest.mark.parametrize("kind", LINEAR)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_outputs_have_the_type_of_the_inputs(kind, dtype):
    dense, packed = linear(kind)
    inputs = torch.randn(4, 37).to(dtype)
    wanted = dense(inputs.float()) if dtype != torch.float64 else copy.deepcopy(dense).double()(inputs)
    for layer in (packed, copy.deepcopy(packed).to(dtype)):
        found = layer(inputs)
        assert found.dtype == dtype
        tolerance = 0.05 if dtype != torch.float64 else 1e-6
        torch.testing.assert_close(found, wanted.to(dtype), rtol=tolerance, atol=tolerance)
    moved = copy.deepcopy(packed).to(dtype).float()
    assert torch.equal(moved.weight.dense(), packed.weight.dense())


@pytest.mark.parametrize("kind", LINEAR)
def test_not_a_number_and_infinity_spread_as_in_the_dense_layer(kind):
    dense, packed = linear(kind)
    inputs = torch.randn(4, 37)
    inputs[1, 5], inputs[2, 7], inputs[3, 0], inputs[3, 1] = torch.nan, torch.inf, torch.inf, -torch.inf
    torch.testing.assert_close(packed(inputs), dense(inputs), rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("kind", LINEAR)
def test_not_contiguous(kind):
    dense, packed = linear(kind)
    inputs = torch.randn(37, 2, 6).permute(2, 1, 0)[::2]
    torch.testing.assert_close(packed(inputs), dense(inputs), rtol=1e-4, atol=1e-4)
    dense, packed = convolution("signs")
    inputs = torch.randn(2, 4, 9, 9).to(memory_format=torch.channels_last)
    torch.testing.assert_close(packed(inputs), dense(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("made", [linear, convolution], ids=["linear", "convolution"])
@pytest.mark.parametrize("kind", ["signs", "bits", "sparse"])
def test_compiled_exported_transformed_and_differentiated(kind, made):
    dense, packed = made(kind)
    inputs = torch.randn(3, 37) if made is linear else torch.randn(3, 4, 7, 6)
    wanted = packed(inputs)
    compiled = torch.compile(packed, fullgraph=True, backend="eager")
    assert torch.equal(compiled(inputs), wanted)
    exported = torch.export.export(packed, (inputs,))
    assert "weightsmith" in str(exported.graph)
    assert torch.equal(exported.module()(inputs), wanted)
    torch.testing.assert_close(torch.vmap(packed)(inputs), wanted, rtol=1e-4, atol=1e-4)

    gradients = []
    for layer in (dense, packed):
        given = inputs.clone().requires_grad_()
        (layer(given) ** 2).sum().backward()
        gradients.append(given.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", LINEAR)
def test_operators_pass_torchs_own_checks(kind):
    _, packed = linear(kind)
    inputs = torch.randn(3, 37, requires_grad=True)
    arguments = (inputs, packed.weight.parts, packed.bias, packed.weight.form, list(packed.weight.shape))
    torch.library.opcheck(torch.ops.weightsmith.packed_linear.default, arguments)


def test_autocast_changes_nothing():
    _, packed = linear("signs")
    inputs = torch.randn(3, 37)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(packed(inputs), packed(inputs))
        assert packed(inputs).dtype == torch.float32


@pytest.mark.parametrize("kind", LINEAR)
def test_the_meta_device_and_back(kind):
    _, packed = linear(kind)
    inputs = torch.randn(3, 37)
    state = packed.state_dict()
    meta = copy.deepcopy(packed).to("meta")
    assert meta(inputs.to("meta")).shape == (3, 11)
    assert {name: value.shape for name, value in meta.state_dict().items()} == {
        name: value.shape for name, value in state.items()
    }
    empty = copy.deepcopy(meta).to_empty(device="cpu")
    with pytest.raises(InputError, match="no values yet"):
        empty(inputs)
    empty.load_state_dict(state)
    meta.load_state_dict(state, assign=True)
    for layer in (empty, meta):
        assert torch.equal(layer(inputs), packed(inputs))


@pytest.mark.parametrize("kind", LINEAR)
def test_what_torch_alone_decodes_is_the_same(kind):
    """The form that a layer takes on another device."""
    from weightsmith.kinds.packed.forms import plain_form

    dense, packed = linear(kind)
    plain = copy.deepcopy(packed)
    plain.weight.become(plain_form(plain.weight.layout))
    assert torch.equal(plain.weight.dense(), packed.weight.dense())
    inputs = torch.randn(3, 37)
    assert torch.equal(plain(inputs), dense(inputs))
    assert torch.equal(torch.compile(plain, fullgraph=True, backend="eager")(inputs), dense(inputs))
    assert all(torch.equal(value, packed.state_dict()[name]) for name, value in plain.state_dict().items())


def test_states_that_lie_are_refused():
    _, packed = linear("sparse")
    state = packed.state_dict()
    before = packed.weight.dense()
    for name, change in {
        "weight.mask": lambda value: value[:-1],
        "weight.values": lambda value: value[:-1],
        "weight.gaps": lambda value: value[:-1],
        "weight.columns": lambda value: value[:-1],
        "bias": lambda value: value[:-1],
    }.items():
        if name in state:
            with pytest.raises(RuntimeError, match=r"weight|bias"):
                packed.load_state_dict({**state, name: change(state[name])})
    with pytest.raises(RuntimeError, match=r"[Mm]issing"):
        packed.load_state_dict({})
    with pytest.raises(RuntimeError, match="Unexpected"):
        packed.load_state_dict({**state, "weight.extra": torch.zeros(1)})
    assert torch.equal(packed.weight.dense(), before)


def test_inputs_that_do_not_fit():
    _, packed = linear("signs")
    with pytest.raises(InputError, match="37 inputs"):
        packed(torch.randn(2, 36))
    _, packed = convolution("signs")
    with pytest.raises(InputError, match="4 channels"):
        packed(torch.randn(2, 3, 9, 9))
    with pytest.raises(InputError, match="smaller than"):
        packed(torch.randn(2, 4, 2, 1))
    with pytest.raises(InputError, match="'reflect'"):
        BinaryConv2d.from_dense(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(InputError):
        BinaryLinear.from_dense(nn.Linear(5, 5))


def test_many_threads_at_once():
    layers = [linear("signs")[1], linear("sparse")[1], linear("ternary")[1]]
    inputs = [torch.randn(index % 9 + 1, 37) for index in range(40)]
    wanted = [[layer(each) for layer in layers] for each in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            found = list(pool.map(lambda each: [layer(each) for layer in layers], inputs))
            for ours, theirs in zip(found, wanted, strict=True):
                assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("change", ["in place", "another", "moved", "loaded", "of another type", "of a copy"])
def test_a_bias_that_changes_between_calls(change):
    dense = nn.Linear(20, 6)
    with torch.no_grad():
        dense.weight.mul_(torch.rand_like(dense.weight) < 0.2)
    layer, inputs = SparseLinear.from_dense(dense), torch.randn(3, 20)
    before, wanted = layer(inputs), torch.arange(6.0)
    if change == "in place":
        layer.bias.copy_(wanted)
    elif change == "another":
        layer.bias = nn.Parameter(wanted, requires_grad=False)
    elif change == "moved":
        layer.bias.data = wanted.clone()
    elif change == "loaded":
        layer.load_state_dict(layer.state_dict() | {"bias": wanted})
    elif change == "of another type":
        layer.bias.data = wanted.bfloat16()
        layer(inputs)
        layer.bias.add_(0)
    else:
        layer = copy.deepcopy(layer)
        layer.bias.copy_(wanted)
    torch.testing.assert_close(layer(inputs), before - dense.bias + wanted)


def test_values_of_sixteen_bits_are_in_the_state():
    torch.manual_seed(0)
    dense = nn.Linear(37, 6)
    with torch.no_grad():
        dense.weight.copy_(torch.where(torch.rand(6, 37) > 0.7, dense.weight.bfloat16().float(), 0.0))
    layer = SparseLinear.from_dense(dense)
    state = layer.state_dict()
    assert torch.bfloat16 in {value.dtype for value in state.values()}
    other = SparseLinear.from_dense(dense)
    other.weight.parts[-1].zero_()
    other.load_state_dict(state)
    assert torch.equal(other.weight.dense(), dense.weight)
