import warnings

import ml_dtypes
import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from weightsmith.errors import InputError
from weightsmith.sources import as_numpy, describe, open_module, unwrap


class Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.extra = nn.Parameter(torch.ones(()))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight * self.extra


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stacked = nn.Parameter(torch.ones(2, 3, 4))


def roles(module: nn.Module) -> dict[str, str]:
    return {info.name: info.role for info in describe(module)}


def test_roles_by_type():
    model = nn.Sequential(
        nn.Embedding(10, 4),
        nn.Linear(4, 4),
        nn.Conv1d(4, 4, 3),
        nn.ConvTranspose2d(4, 4, 3),
        nn.LSTMCell(4, 4),
        nn.GroupNorm(2, 4),
        nn.RMSNorm(4),
        nn.PReLU(),
        nn.MultiheadAttention(4, 2, add_bias_kv=True),
        nn.Bilinear(2, 3, 4),
        Scale(),
    )
    assert roles(model) == {
        "0.weight": "embedding",
        "1.weight": "linear",
        "1.bias": "bias",
        "2.weight": "conv",
        "2.bias": "bias",
        "3.weight": "conv",
        "3.bias": "bias",
        "4.weight_ih": "recurrent",
        "4.weight_hh": "recurrent",
        "4.bias_ih": "bias",
        "4.bias_hh": "bias",
        "5.weight": "norm",
        "5.bias": "bias",
        "6.weight": "norm",
        "7.weight": "other",
        "8.in_proj_weight": "linear",
        "8.in_proj_bias": "bias",
        "8.bias_k": "bias",
        "8.bias_v": "bias",
        "8.out_proj.weight": "linear",
        "8.out_proj.bias": "bias",
        "9.weight": "linear",
        "9.bias": "bias",
        "10.stacked": "other",
    }


def test_order_names_shapes_and_layers_are_the_models():
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    named = dict(model.named_parameters())
    infos = describe(model)
    assert [info.name for info in infos] == list(named)
    assert [info.shape for info in infos] == [tuple(parameter.shape) for parameter in named.values()]
    assert infos[0].layer == "MultiheadAttention"
    assert {info.dtype for info in infos} == {"float32"}


def test_values_are_live_read_only_views():
    model = nn.Linear(2, 3)
    weight = open_module(model)["weight"]
    array = weight.read()
    np.testing.assert_array_equal(array, model.weight.detach().numpy())
    assert not array.flags.writeable
    with torch.no_grad():
        model.weight.fill_(7)
    assert (array == 7).all()
    model.load_state_dict({"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}, assign=True)
    assert (weight.read() == 0).all()
    assert weight.nbytes == 24


def test_tied_parameters_and_modules_are_told():
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embedding"].weight
    model["again"] = model["head"]
    assert {info.name: info.tied_to for info in describe(model)} == {
        "embedding.weight": None,
        "head.weight": "embedding.weight",
        "again.weight": "embedding.weight",
    }


def test_views_of_one_storage_are_tied_only_where_they_are_the_same_elements():
    model = nn.Module()
    base = torch.zeros(4, 3)
    model.whole = nn.Parameter(base)
    model.transposed = nn.Parameter(base.T)
    model.first_rows = nn.Parameter(base[:2])
    model.empty = nn.Parameter(base[:0])
    model.none = nn.Parameter(base[:0])
    tied = {info.name: info.tied_to for info in describe(model)}
    assert tied == {"whole": None, "transposed": "whole", "first_rows": None, "empty": None, "none": None}


def test_meta_tensors_are_listed_but_not_read():
    model = nn.Linear(2, 3, device="meta")
    source = open_module(model)
    assert [info.tied_to for info in source.infos] == [None, None]
    with pytest.raises(InputError, match=r"'weight'.* on the meta device") as caught:
        source["weight"].read()
    assert "\n" not in str(caught.value)


def test_lazy_modules_are_refused():
    with pytest.raises(InputError, match=r"'0\.weight' has no shape yet"):
        describe(nn.Sequential(nn.LazyLinear(3)))


def test_parametrized_weight_has_its_plain_name_and_effective_value():
    model = nn.Sequential(nn.Linear(2, 3))
    parametrize.register_parametrization(model[0], "weight", Doubled())
    source = open_module(model)
    assert sorted(source) == ["0.bias", "0.parametrizations.weight.0.extra", "0.weight"]
    np.testing.assert_array_equal(source["0.weight"].read(), model[0].weight.detach().numpy())
    assert source["0.weight"].info.layer == "Linear"
    assert source["0.weight"].role == "linear"


def test_reading_does_not_disturb_a_parametrization():
    layer = parametrizations.spectral_norm(nn.Linear(4, 4))
    layer.train()
    before = {name: buffer.clone() for name, buffer in layer.named_buffers()}
    open_module(layer)["weight"].read()
    assert all(torch.equal(before[name], buffer) for name, buffer in layer.named_buffers())
    assert all(module.training for module in layer.modules())
    weighted = parametrizations.weight_norm(nn.Conv1d(2, 2, 3))
    assert roles(weighted) == {"weight": "conv", "bias": "bias"}


def test_wrappers_leave_no_trace():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    names = [name for name, _ in model.named_parameters()]
    wrapped = nn.DataParallel(torch.compile(model, backend="eager"))
    fabric = Fabric(accelerator="cpu", devices=1).setup(model)
    for outer in (wrapped, fabric, torch.compile(nn.DataParallel(model), backend="eager")):
        assert unwrap(outer) is model
        assert [info.name for info in describe(outer)] == names
    assert unwrap(model) is model


def test_compiled_layers_inside_leave_no_trace():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    names = [name for name, _ in model.named_parameters()]
    model[1] = torch.compile(model[1], backend="eager")
    assert list(open_module(model)) == names
    assert describe(model)[2].layer == "Linear"


def test_model_with_a_layer_called_module_is_not_a_wrapper():
    model = nn.Module()
    model.module = nn.Linear(2, 2)
    assert unwrap(model) is model


FLOATS = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


@pytest.mark.parametrize("name", FLOATS)
def test_as_numpy_keeps_the_bits_and_memory(name):
    tensor = torch.tensor([[0.5, 1.0, 2.0], [4.0, 8.0, 16.0]]).to(getattr(torch, name))
    array = as_numpy(tensor)
    assert array.dtype == np.dtype(getattr(ml_dtypes, name))
    np.testing.assert_array_equal(array.astype(np.float32), tensor.float().numpy())
    raw = array.view(np.uint8 if tensor.element_size() == 1 else np.uint16)
    assert raw.ctypes.data == tensor.data_ptr()
    np.testing.assert_array_equal(as_numpy(tensor.T).astype(np.float32), tensor.float().numpy().T)


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3)])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.int64, torch.bool, torch.complex64, torch.bfloat16]
)
def test_as_numpy_shapes(shape, dtype):
    tensor = torch.ones(shape, dtype=dtype)
    assert as_numpy(tensor).shape == shape
    assert as_numpy(nn.Parameter(tensor, requires_grad=dtype.is_floating_point)).shape == shape


def test_as_numpy_of_odd_tensors():
    tensor = torch.arange(6.0).reshape(2, 3)
    assert as_numpy(tensor.to_sparse()).tolist() == tensor.tolist()
    assert as_numpy(torch.tensor([1 + 2j]).conj()).tolist() == [1 - 2j]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that quantization is deprecated, said once in a process
        quantized = torch.quantize_per_tensor(tensor, 0.1, 0, torch.quint8)
    with pytest.raises(InputError, match="quint8"):
        as_numpy(quantized)
