"""Rules on whole matrices and their rows: scale beside peers, rank, dead and untrained layers."""

import numpy as np
import pytest
import torch
from torch import nn

import weightsmith as ws
from weightsmith.rules.initial import cut_normal, normal, uniform
from weightsmith.rules.untrained_layer import ks_distance
from weightsmith.sketch import Sketch


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.fixture
def layers(generator):
    """Eight equal blocks of two matrices."""
    return {
        f"layers.{i}.{name}.weight": generator.normal(0, 0.02, (64, 48)) for i in range(8) for name in ("up", "down")
    }


def test_a_layer_far_above_its_peers(found, layers):
    assert not found("exploded-norm", layers)
    layers["layers.3.up.weight"] *= 40
    (finding,) = found("exploded-norm", layers)
    assert finding.weight == "layers.3.up.weight"
    assert finding.evidence["size"] / finding.evidence["median"] == pytest.approx(40, rel=0.05)
    assert not found("vanished-norm", layers)


def test_a_layer_far_below_its_peers(found, layers):
    assert not found("vanished-norm", layers)
    layers["layers.6.down.weight"] *= 1e-3
    (finding,) = found("vanished-norm", layers)
    assert finding.weight == "layers.6.down.weight"
    assert not found("exploded-norm", layers)


@pytest.mark.parametrize(("factor", "rule"), [(10**0.5, "exploded-norm"), (10**-0.5, "vanished-norm")])
def test_ten_times_the_variance_of_the_peers_is_a_fault_and_five_times_is_none(found, layers, factor, rule):
    layers["layers.3.up.weight"] *= factor**0.7
    assert not found(rule, layers)
    layers["layers.3.up.weight"] *= factor**0.35
    assert [finding.weight for finding in found(rule, layers)] == ["layers.3.up.weight"]


def test_layers_without_repetition_are_compared_by_gain(found, generator):
    tensors = {
        f"{name}.weight": generator.normal(0, n**-0.5, (32, n))
        for name, n in zip("abcdef", (3, 9, 27, 99, 300, 900), strict=True)
    }
    assert not found("exploded-norm", tensors)
    tensors["d.weight"] *= 200
    (finding,) = found("exploded-norm", tensors)
    assert finding.weight == "d.weight"


def test_numbered_layers_of_other_shapes_are_no_repetition(found, generator):
    tensors = {
        f"conv{i}.weight": generator.normal(0, n**-0.5, (32, n)) for i, n in enumerate((3, 9, 27, 99, 300, 2700))
    }
    assert not found("exploded-norm", tensors)
    assert not found("vanished-norm", tensors)


def test_weights_without_peers_are_listed_as_not_judged(source_of, generator):
    report = ws.check(source_of({"fc.weight": generator.normal(size=(32, 32))}), select=["WS211"])
    assert [item.weights for item in report.unchecked] == [("fc.weight",)]


def test_rows_that_nearly_died(found, generator):
    values = generator.normal(size=(64, 32)).astype(np.float32)
    assert not found("vanishing-rows", {"fc.weight": values})
    values[[4, 9]] *= 1e-6
    values[12] = 0  # reported as a zero row
    (finding,) = found("vanishing-rows", {"fc.weight": values})
    assert (finding.evidence["faint_rows"], finding.evidence["rows"]) == (2, 64)
    assert "rows 4, 9" in finding.message


def test_inputs_that_nothing_reads(found, generator):
    values = generator.normal(size=(16, 20)).astype(np.float32)
    assert not found("dead-inputs", {"fc.weight": values})
    values[:, [3, 17]] = 0
    (finding,) = found("dead-inputs", {"fc.weight": values})
    assert finding.evidence == {"dead_inputs": 2, "inputs": 20}
    (finding,) = found("dead-inputs", {"fc.weight": values.T.copy()}, {"fc.weight": {"output_axis": 1}})
    assert finding.evidence == {"dead_inputs": 2, "inputs": 20}


@pytest.mark.parametrize("order", ["torch", "keras", "transposed"])
def test_a_dead_channel_of_a_convolution_in_every_layout(found, generator, order):
    values = generator.normal(size=(8, 6, 3, 3))
    values[:, 2] = 0
    values[:, 4, 1, 1] = 0  # one position of a channel is no dead channel
    shape, axis = {"torch": ((0, 1, 2, 3), 0), "keras": ((2, 3, 1, 0), 3), "transposed": ((1, 0, 2, 3), 1)}[order]
    turned = np.ascontiguousarray(values.transpose(shape))
    (finding,) = found("dead-inputs", {"conv.weight": turned}, {"conv.weight": {"output_axis": axis}})
    assert finding.evidence == {"dead_inputs": 1, "inputs": 6}
    assert "(input 2)" in finding.message


def test_zero_and_equal_rows_are_units_whatever_the_layout(found, generator):
    values = generator.normal(size=(40, 24)).astype(np.float32)
    values[5], values[9] = 0, values[20]
    for turned, axis in ((values, 0), (values.T.copy(), 1)):
        infos = {"fc.weight": {"output_axis": axis}}
        assert found("zero-rows", {"fc.weight": turned}, infos)[0].evidence == {"zero_rows": 1, "rows": 40}
        (finding,) = found("duplicate-rows", {"fc.weight": turned}, infos)
        assert finding.evidence == {"repeated_rows": 1, "groups": 1, "rows": 40}
        assert "rows 9, 20" in finding.message


def test_rows_that_copy_each_other_up_to_noise(found, generator):
    values = generator.normal(size=(50, 40))
    assert not found("near-duplicate-rows", {"fc.weight": values})
    values[1] = 3 * values[0]  # a single pair occurs in healthy models
    assert not found("near-duplicate-rows", {"fc.weight": values})
    values[10:20] = values[10] * np.linspace(1, 2, 10)[:, None] + generator.normal(0, 1e-3, (10, 40))
    (finding,) = found("near-duplicate-rows", {"fc.weight": values})
    assert finding.evidence["alike"] == 12
    assert finding.evidence["sampled"] == 50


def test_a_matrix_of_few_directions(found, generator):
    values = generator.normal(size=(128, 3)) @ generator.normal(size=(3, 96))
    (finding,) = found("rank-collapse", {"fc.weight": values.astype(np.float32)})
    assert finding.evidence["directions"] == 3
    assert not found("rank-collapse", {"fc.weight": generator.normal(size=(128, 96))})
    spike = generator.normal(size=(128, 96))
    spike[0, 0] = 500  # one huge value leaves the other directions as they were
    assert not found("rank-collapse", {"fc.weight": spike + 0})


def test_rank_of_rows_in_files_and_in_keras_layout(tmp_path, generator):
    from weightsmith.sources.safetensors import write_safetensors

    values = (generator.normal(size=(3000, 2)) @ generator.normal(size=(2, 500))).astype(np.float32)
    write_safetensors(tmp_path / "m.safetensors", {"fc.weight": values})
    (finding,) = ws.check(tmp_path / "m.safetensors", select=["rank-collapse"])
    assert finding.evidence["directions"] == 2


def test_one_direction_that_outweighs_all_others(found, generator):
    values = generator.normal(size=(128, 96))
    assert not found("dominant-direction", {"fc.weight": values})
    (finding,) = found("dominant-direction", {"fc.weight": values + 20})
    rows = (values + 20)[np.unique(np.linspace(0, 127, 64).astype(int))]
    singular = np.linalg.svd(rows, compute_uv=False)
    assert finding.evidence["first"] == pytest.approx(singular[0], rel=1e-3)
    assert finding.evidence["second"] == pytest.approx(singular[1], rel=1e-2)


def test_layers_of_one_value_and_of_zeros(found):
    assert found("constant-weight", {"fc.weight": np.full((8, 8), 0.25, np.float32)})[0].evidence["value"] == 0.25
    assert not found("constant-weight", {"fc.weight": np.zeros((8, 8), np.float32)})
    (finding,) = found("dead-layer", {"fc.weight": np.zeros((8, 8), np.float32)})
    assert (finding.severity, finding.evidence["zeros"]) == ("error", 64)
    assert not found("dead-layer", {"fc.weight": np.eye(8, dtype=np.float32)})


@pytest.mark.parametrize("start", [uniform("u", 0.3), normal("n", 0.02), cut_normal("c", 0.1)])
def test_the_distance_to_a_start_agrees_with_scipy(generator, start):
    from scipy import stats

    values = generator.normal(0, 0.1, 5000)
    exact = stats.kstest(values, start.below).statistic
    assert ks_distance(Sketch.of(values), start) == pytest.approx(exact, abs=0.02)
    assert ks_distance(Sketch.of(values), start) <= exact + 1e-9


FRESH = {
    "linear": lambda: nn.Linear(64, 48),
    "conv": lambda: nn.Conv2d(16, 32, 3),
    "lstm": lambda: nn.LSTM(32, 24),
    "embedding": lambda: nn.Embedding(500, 40),
    "xavier": lambda: nn.init.xavier_uniform_(nn.Linear(70, 30).weight),
    "he": lambda: nn.init.kaiming_normal_(nn.Linear(256, 128).weight),
    "gpt": lambda: nn.init.normal_(nn.Linear(256, 128).weight, std=0.02),
    "bert": lambda: nn.init.trunc_normal_(nn.Linear(256, 128).weight, std=0.02, a=-0.04, b=0.04),
}


@pytest.mark.parametrize("kind", FRESH)
def test_fresh_layers_are_recognized(found, kind):
    torch.manual_seed(0)
    made = FRESH[kind]()
    tensors = made.state_dict() if isinstance(made, nn.Module) else {"weight": made}
    tensors = {f"{kind}.{name}": value.detach().numpy() for name, value in tensors.items()}
    matrices = {name for name, value in tensors.items() if value.ndim > 1}
    assert {finding.weight for finding in found("untrained-layer", tensors)} == matrices


@pytest.mark.parametrize("kind", FRESH)
def test_a_little_training_makes_them_unlike_a_start(found, kind):
    torch.manual_seed(0)
    made = FRESH[kind]()
    tensors = made.state_dict() if isinstance(made, nn.Module) else {"weight": made}
    trained = {}
    for name, value in tensors.items():
        noise = torch.randn_like(value) * value.std() * 0.3
        rows = 1 + 0.3 * torch.rand(value.shape[0], *[1] * (value.ndim - 1))
        trained[f"{kind}.{name}"] = ((value + noise) * rows).detach().numpy()
    assert not found("untrained-layer", trained)


def test_fresh_layers_in_16_bits_are_recognized(found):
    torch.manual_seed(0)
    weight = nn.Linear(128, 64).weight.detach()
    assert found("untrained-layer", {"fc.weight": weight.half().numpy()})


def test_biases_and_norms_left_at_their_start(found, generator):
    biases = {"a.bias": generator.normal(size=16), "b.bias": np.zeros(16)}
    assert [finding.weight for finding in found("untrained-biases", biases)] == ["b.bias"]
    assert not found("untrained-biases", {"a.bias": np.zeros(16), "b.bias": np.zeros(16)})
    norms = {"norm1.weight": 1 + generator.normal(size=16), "norm2.weight": np.ones(16)}
    assert [finding.weight for finding in found("untrained-norms", norms)] == ["norm2.weight"]
    assert not found("untrained-norms", {"norm1.weight": np.ones(16), "norm2.weight": np.ones(16)})


def test_a_giant_bias_but_not_that_of_a_key(found, generator):
    biases = {f"layers.{i}.fc.bias": generator.normal(0, 0.1, 16) for i in range(6)}
    assert not found("giant-bias", biases)
    biases["layers.2.fc.bias"] = biases["layers.2.fc.bias"] + 500
    biases["layers.2.k_proj.bias"] = np.full(16, 300.0)
    (finding,) = found("giant-bias", biases)
    assert finding.weight == "layers.2.fc.bias"
