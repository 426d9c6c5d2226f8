import numpy as np
import pytest
import torch
from torch import nn

import weightsmith.sources as sources
from weightsmith.sources import infer_role, write_safetensors
from weightsmith.sources.config import ModelConfig
from weightsmith.sources.layers import infer_layers
from weightsmith.weight import WeightInfo

QKV = ("q", "k", "v")


def infos(shapes):
    return [WeightInfo(name, shape, "float32", infer_role(name, shape)) for name, shape in shapes.items()]


def inferred(shapes, config=None):
    return {info.name: info for info in infer_layers(infos(shapes), config)}


def of_module(module):
    return inferred({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()})


GATES = {"LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n"), "RNN": ()}


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}, {"bias": False}], ids=str)
def test_gates_by_the_shapes_of_siblings(kind, options):
    for info in of_module(getattr(nn, kind)(7, 5, **options)).values():
        assert (info.layer, info.parts) == (kind, GATES[kind]), info.name
        assert info.role == ("bias" if "bias" in info.name else "recurrent")


def test_gates_of_a_projected_lstm_and_of_cells():
    found = of_module(nn.LSTM(7, 6, proj_size=3))
    assert found["weight_hh_l0"].shape == (24, 3)
    assert found["weight_hh_l0"].parts == found["bias_ih_l0"].parts == GATES["LSTM"]
    assert (found["weight_hr_l0"].layer, found["weight_hr_l0"].parts) == ("LSTM", ())
    assert of_module(nn.GRUCell(7, 5))["weight_ih"].parts == GATES["GRU"]


def test_gates_split_the_weight_as_torch_does():
    """The forget gate closed and the others open: the cell forgets; so the shares are named as PyTorch uses them."""
    cell = nn.LSTMCell(2, 3)
    info = of_module(cell)["bias_ih"]
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        share = len(cell.bias_ih) // len(info.parts)
        at = info.parts.index("f") * share
        cell.bias_ih[at : at + share] = -100
        _, memory = cell(torch.zeros(1, 2), (torch.zeros(1, 3), torch.ones(1, 3)))
    assert memory.abs().max() < 1e-6


@pytest.mark.parametrize(
    "shapes",
    [
        {"weight_hh_l0": (25, 5), "weight_ih_l0": (25, 7)},
        {"weight_ih_l0": (20, 7)},
        {"weight_hh_l0": (20, 0)},
        {"weight_hh_l0": (20,)},
        {"weight_hh_l0": (20, 5, 1)},
    ],
)
def test_recurrent_weights_that_fit_no_layer_have_no_gates(shapes):
    assert all(info.parts == () and info.layer is None for info in inferred(shapes).values())


def test_batch_norms_are_known_by_their_statistics():
    found = of_module(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.LayerNorm(4)))
    assert {name: (info.layer, info.role) for name, info in found.items()} == {
        "0.weight": (None, "conv"),
        "0.bias": (None, "bias"),
        "1.weight": ("BatchNorm", "norm"),
        "1.bias": ("BatchNorm", "bias"),
        "1.running_mean": ("BatchNorm", "other"),
        "1.running_var": ("BatchNorm", "other"),
        "1.num_batches_tracked": ("BatchNorm", "other"),
        "2.weight": (None, "norm"),
        "2.bias": (None, "bias"),
    }


@pytest.mark.parametrize("module", ["c_attn", "qkv", "qkv_proj", "attn_qkv", "to_qkv", "Wqkv", "W_pack", "in_proj"])
def test_fused_projections_have_thirds(module):
    found = inferred({f"h.{module}.weight": (12, 4), f"h.{module}.bias": (12,)})
    assert {(info.parts, info.output_axis) for info in found.values()} == {(QKV, 0)}


def test_multihead_attention():
    found = of_module(nn.MultiheadAttention(8, 2))
    assert found["in_proj_weight"].parts == found["in_proj_bias"].parts == QKV
    assert found["out_proj.weight"].parts == ()


@pytest.mark.parametrize(
    ("name", "shape", "config"),
    [
        ("qkv_proj.weight", (8, 4), {}),  # grouped queries: 4 + 2 + 2
        ("qkv_proj.weight", (12, 4), {"num_attention_heads": 4, "num_key_value_heads": 2}),
        ("c_attn.weight", (12, 4), {"num_attention_heads": 4, "multi_query": True}),
        ("qkv_proj.weight", (12, 4), {"model_type": "codegen"}),
        ("attention.query_key_value.weight", (12, 4), {"model_type": "gpt_neox"}),
        ("attention.query_key_value.weight", (12, 4), {}),  # taken in turns head by head
        ("qkv.weight", (12, 4, 1, 1), {}),
        ("qkv.weight", (0, 0), {}),
        ("qkv.weight", (12,), {}),
        ("mixer.in_proj.weight", (16, 4), {}),
        ("mlp.gate_up_proj.weight", (12, 4), {}),
    ],
)
def test_no_thirds_where_they_are_not_equal_or_not_contiguous(name, shape, config):
    assert inferred({name: shape}, ModelConfig.parse(config))[name].parts == ()


def test_thirds_of_heads_that_are_wider_than_the_stream():
    config = ModelConfig.parse({"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 2, "hidden_size": 4})
    assert inferred({"qkv_proj.weight": (24, 4)}, config)["qkv_proj.weight"].parts == QKV
    assert inferred({"qkv_proj.weight": (12, 4)}, config)["qkv_proj.weight"].parts == ()


def gpt2(width=4):
    return {
        "h.0.attn.c_attn.weight": (width, 3 * width),
        "h.0.attn.c_attn.bias": (3 * width,),
        "h.0.attn.c_proj.weight": (width, width),
        "h.0.attn.c_proj.bias": (width,),
        "h.0.mlp.c_fc.weight": (width, 4 * width),
        "h.0.mlp.c_fc.bias": (4 * width,),
        "h.0.attn.bias": (1, 1, 16, 16),
        "wte.weight": (100, width),
    }


@pytest.mark.parametrize("config", [None, ModelConfig(model_type="gpt2")])
def test_gpt2_keeps_inputs_before_outputs(config):
    found = inferred(gpt2(), config)
    axes = {name: info.output_axis for name, info in found.items() if name.endswith("weight")}
    assert axes == {name: int(name != "wte.weight") for name in axes}
    assert found["h.0.attn.c_attn.weight"].parts == found["h.0.attn.c_attn.bias"].parts == QKV
    assert found["h.0.attn.c_proj.weight"].layer == "Conv1D"
    assert found["h.0.attn.bias"].role == "other"


def test_the_same_names_in_linear_layers_keep_outputs_first():
    found = inferred({"c_attn.weight": (12, 4), "c_attn.bias": (12,), "c_proj.weight": (4, 4), "c_proj.bias": (4,)})
    assert {info.output_axis for info in found.values()} == {0}
    assert found["c_attn.weight"].parts == QKV


def test_the_outputs_are_where_the_bias_fits():
    shapes = of_module(nn.ConvTranspose2d(3, 5, 2))
    assert shapes["weight"].output_axis == 1
    found = inferred({"a.weight": (3, 5), "a.bias": (5,), "b.weight": (5, 5), "b.bias": (5,), "c.kernel": (3, 3, 1, 8)})
    assert [found[name].output_axis for name in ("a.weight", "b.weight", "c.kernel")] == [1, 0, 3]
    assert inferred({"d.weight": (3, 5), "d.bias": (7,)})["d.weight"].output_axis == 0


EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.mark.parametrize(
    ("shapes", "ties"),
    [
        ({EMBEDDING: (9, 4), HEAD: (9, 4)}, {HEAD: EMBEDDING}),
        ({HEAD: (9, 4), EMBEDDING: (9, 4)}, {EMBEDDING: HEAD}),
        ({EMBEDDING: (9, 4), HEAD: (8, 4)}, {}),
        ({EMBEDDING: (9, 4)}, {}),
        ({HEAD: (9, 4)}, {}),
        ({"transformer.wte.weight": (9, 4), HEAD: (9, 4)}, {HEAD: "transformer.wte.weight"}),
    ],
)
def test_ties_that_the_configuration_states(shapes, ties):
    found = inferred(shapes, ModelConfig.parse({"tie_word_embeddings": True}))
    assert {name: info.tied_to for name, info in found.items() if info.tied_to} == ties
    assert all(info.tied_to is None for info in inferred(shapes, ModelConfig()).values())


def test_what_a_reader_knows_stays():
    known = WeightInfo("lstm.weight_hh_l0", (20, 5), "float32", "recurrent", layer="Mine", parts=("a",), output_axis=1)
    odd = WeightInfo("norm.weight", (4,), "float32", "linear")
    assert infer_layers([known, odd]) == [known, odd]


def test_nothing_to_infer_from():
    assert infer_layers([]) == []


@pytest.mark.parametrize(
    "data",
    [None, [], 3, {}, {"architectures": "x", "hidden_size": "4", "num_attention_heads": True}, {"text_config": 1}],
    ids=str,
)
def test_configurations_that_say_nothing(data):
    assert ModelConfig.parse(data) == ModelConfig()


def test_configurations_under_their_many_names():
    assert ModelConfig.parse({"n_head": 12, "n_embd": 768, "model_type": "gpt2", "architectures": ["A", 1]}) == (
        ModelConfig("gpt2", ("A",), 768, 12, 12)
    )
    nested = {"model_type": "m", "text_config": {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 64}}
    assert ModelConfig.parse(nested) == ModelConfig("m", (), None, 8, 2, 64)
    assert not ModelConfig.parse(nested).equal_shares
    assert ModelConfig.parse({"num_attention_heads": 8, "multi_query": True}).kv_heads == 1


def test_files_of_every_torch_like_format_get_layers(tmp_path):
    state = nn.LSTM(3, 2).state_dict()
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    write_safetensors(tmp_path / "a.safetensors", arrays)
    np.savez(tmp_path / "a.npz", **arrays)
    torch.save(state, tmp_path / "a.pt")
    for name in ("a.safetensors", "a.npz", "a.pt"):
        source = sources.open(tmp_path / name)
        assert {info.parts for info in source.infos} == {("i", "f", "g", "o")}, name
        np.testing.assert_array_equal(source["weight_hh_l0"].read(), arrays["weight_hh_l0"])
