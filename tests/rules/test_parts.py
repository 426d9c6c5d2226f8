"""Rules that know the part of a model they look at: norms, attention, embeddings, recurrence, adapters, experts."""

import numpy as np
import pytest
import torch
from torch import nn

import weightsmith as ws


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def numpy_of(model, prefix=""):
    return {f"{prefix}{name}": value.detach().numpy().copy() for name, value in model.state_dict().items()}


@pytest.fixture
def batch_norm():
    """The arrays of a batch norm that has seen data."""
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(32)
    norm(torch.randn(64, 32) * 3 + 1)
    return numpy_of(norm, "bn.")


def test_statistics_that_cannot_be_right(found, batch_norm):
    assert not found("broken-batch-norm", batch_norm)
    batch_norm["bn.running_var"][[2, 5]] = -1, np.nan
    (finding,) = found("broken-batch-norm", batch_norm)
    assert (finding.severity, finding.evidence["broken"]) == ("error", 2)
    assert "channels 2, 5" in finding.message


def test_variances_of_zero_or_huge_and_means_far_away(found, batch_norm):
    batch_norm["bn.running_var"][[1, 2]] = 0, 1e12
    batch_norm["bn.running_mean"][[1, 7]] = 1e9, 1e5  # the first has no deviation to be measured in
    findings = found("broken-batch-norm", batch_norm)
    assert [finding.severity for finding in findings] == ["warning"] * 3
    assert [finding.evidence.get(key) for finding, key in zip(findings, ("zero", "huge", "far"), strict=True)] == [
        1
    ] * 3


def test_keras_names_its_statistics_otherwise(found, batch_norm):
    tensors = {"bn/moving_mean": batch_norm["bn.running_mean"], "bn/moving_variance": -batch_norm["bn.running_var"]}
    assert found("broken-batch-norm", tensors)[0].weight == "bn/moving_variance"


def test_statistics_that_were_never_updated(found, batch_norm):
    assert not found("unused-batch-norm", batch_norm)
    (finding,) = found("unused-batch-norm", numpy_of(nn.BatchNorm2d(16), "bn."))
    assert finding.evidence == {"channels": 16}


def test_channels_that_a_norm_switches_off(found, generator):
    scale = 1 + 0.1 * generator.normal(size=64)
    assert not found("dead-norm-channels", {"norm.weight": scale})
    assert not found("dead-norm-channels", {"norm.weight": 7 * scale})
    scale[[3, 8]] = 0, 1e-9
    (finding,) = found("dead-norm-channels", {"norm.weight": scale})
    assert finding.evidence["dead"] == 2
    assert "channels 3, 8" in finding.message


@pytest.fixture
def attention(generator):
    return {
        f"layers.0.self_attn.{name}_proj.weight": generator.normal(0, 0.02, (256, 128)).astype(np.float32)
        for name in "qkv"
    }


def test_query_key_and_value_of_one_scale_are_fine_and_others_are_not(found, attention):
    assert not found("attention-imbalance", attention)
    attention["layers.0.self_attn.k_proj.weight"] *= 30
    (finding,) = found("attention-imbalance", attention)
    assert finding.weight.endswith("k_proj.weight")
    assert finding.evidence["largest"] / finding.evidence["smallest"] == pytest.approx(30, rel=0.05)
    assert finding.evidence["largest_part"] == "key"


def test_a_dead_head_is_named_by_its_rows(found, attention):
    attention["layers.0.self_attn.v_proj.weight"][64:96] *= 0.01
    (finding,) = found("attention-imbalance", attention)
    assert finding.evidence["first_row"] == 64
    assert "value rows 64 to 95" in finding.message


@pytest.mark.parametrize("names", ["query key value", "to_q to_k to_v", "wq wk wv", "q_lin k_lin v_lin"])
def test_names_of_other_libraries(found, attention, names):
    tensors = {
        f"block.1.attention.{name}.weight": value for name, value in zip(names.split(), attention.values(), strict=True)
    }
    assert not found("attention-imbalance", tensors)
    tensors[f"block.1.attention.{names.split()[0]}.weight"] *= 100
    assert len(found("attention-imbalance", tensors)) == 1


def test_stacked_projections_are_taken_apart(found, attention):
    stacked = np.concatenate(list(attention.values()))
    parts = {"attn.in_proj_weight": {"parts": ("q", "k", "v"), "role": "linear"}}
    assert not found("attention-imbalance", {"attn.in_proj_weight": stacked}, parts)
    stacked[:256] *= 50
    (finding,) = found("attention-imbalance", {"attn.in_proj_weight": stacked}, parts)
    assert finding.evidence["largest_part"] == "query"


@pytest.fixture
def table(generator):
    return generator.normal(size=(300, 32)).astype(np.float32)


def test_tokens_that_were_hardly_trained(found, table):
    table[0] = 0  # padding
    assert not found("undertrained-tokens", {"embed.weight": table})
    table[[40, 77]] *= 0.01
    (finding,) = found("undertrained-tokens", {"embed.weight": table})
    assert (finding.evidence["faint_rows"], finding.evidence["zero_rows"]) == (3, 1)


def test_a_padded_table(found, table):
    assert not found("padded-vocabulary", {"embed.weight": table})
    table[290:] = table[295]
    assert found("padded-vocabulary", {"embed.weight": table})[0].evidence["spare_rows"] == 10
    table[292:] = 0
    assert found("padded-vocabulary", {"embed.weight": table})[0].evidence["spare_rows"] == 8


def test_positions_beyond_the_longest_input(found, generator):
    steps = np.linspace(0, 3, 128)[:, None]
    trained = np.sin(steps * np.arange(1, 65) + np.arange(64)) + 0.05 * generator.normal(size=(128, 64))
    name = "embeddings.position_embeddings.weight"
    assert not found("unused-positions", {name: trained})
    assert not found("unused-positions", {name: generator.normal(size=(128, 64))})  # none looks trained
    trained[100:] = generator.normal(size=(28, 64))
    assert found("unused-positions", {name: trained})[0].evidence["unused"] in (27, 28)
    trained[90:] = 1e-3
    assert found("unused-positions", {name: trained})[0].evidence["unused"] == 38


def test_tables_that_were_tied(found, table):
    names = ("model.embed_tokens.weight", "lm_head.weight")
    other = np.random.default_rng(5).normal(size=table.shape).astype(np.float32)
    assert not found("untied-embeddings", {names[0]: table, names[1]: table.copy()})
    assert not found("untied-embeddings", {names[0]: table, names[1]: other})
    changed = table.copy()
    changed[:10] += 0.1
    (finding,) = found("untied-embeddings", {names[0]: table, names[1]: changed})
    assert finding.weight == names[1]
    assert finding.evidence["changed"] == 320
    assert finding.evidence["difference"] == pytest.approx(
        np.linalg.norm(changed - table) / np.linalg.norm(table), rel=1e-5
    )


def test_forget_gates_of_an_lstm(found):
    torch.manual_seed(0)
    tensors = numpy_of(nn.LSTM(16, 24, num_layers=2), "lstm.")
    assert not found("closed-forget-gates", tensors)
    tensors["lstm.bias_ih_l1"][24:48] -= 2
    tensors["lstm.bias_hh_l1"][24:48] -= 2
    (finding,) = found("closed-forget-gates", tensors)
    assert finding.weight == "lstm.bias_ih_l1"
    assert finding.evidence["median"] == pytest.approx(-4, abs=0.3)


def test_forget_gates_of_keras(found, generator):
    bias = np.concatenate([np.zeros(8), np.full(8, -3.0), np.zeros(16)])
    kernel = generator.normal(size=(8, 32))
    assert found("closed-forget-gates", {"lstm.recurrent_kernel": kernel, "lstm.bias": bias})
    assert not found("closed-forget-gates", {"lstm.recurrent_kernel": kernel, "lstm.bias": -bias})


def test_a_recurrent_matrix_beyond_bounds(found):
    torch.manual_seed(0)
    tensors = numpy_of(nn.RNN(16, 24), "rnn.")
    assert not found("exploding-recurrence", tensors)
    tensors["rnn.weight_hh_l0"] = 4 * np.linalg.qr(np.random.default_rng(0).normal(size=(24, 24)))[0]
    (finding,) = found("exploding-recurrence", tensors)
    assert finding.evidence["radius"] == pytest.approx(4)


def test_gated_layers_are_said_to_be_left_out(source_of):
    (skipped,) = ws.check(source_of(numpy_of(nn.GRU(16, 24), "gru.")), select=["WS234"]).skipped
    assert "gated" in skipped.reason


def test_an_adapter_that_was_never_trained(found, generator):
    name = "layers.{}.q_proj.lora_{}.default.weight"
    tensors = {name.format(i, "A"): generator.normal(size=(8, 64)) for i in range(2)}
    tensors |= {name.format(i, "B"): generator.normal(size=(64, 8)) for i in range(2)}
    assert not found("untrained-adapter", tensors)
    tensors[name.format(1, "B")] *= 0
    (finding,) = found("untrained-adapter", tensors)
    assert finding.weight == name.format(1, "B")
    assert not [f for f in found("dead-layer", tensors) if f.weight == finding.weight]


def test_experts_of_one_layer(found, generator):
    tensors = {f"layers.0.mlp.experts.{i}.up_proj.weight": generator.normal(size=(32, 16)) for i in range(8)}
    assert not found("expert-imbalance", tensors)
    tensors["layers.0.mlp.experts.5.up_proj.weight"] *= 0.1
    (finding,) = found("expert-imbalance", tensors)
    assert finding.evidence["expert"] == 5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_stacked_experts(found, generator, axis):
    stacked = generator.normal(size=(8, 32, 16))
    infos = {"layers.0.mlp.experts": {"role": "linear", "output_axis": axis}}
    assert not found("expert-imbalance", {"layers.0.mlp.experts": stacked}, infos)
    stacked[3] *= 10
    (finding,) = found("expert-imbalance", {"layers.0.mlp.experts": stacked}, infos)
    assert finding.evidence["expert"] == 3
