import copy
import math
import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from weightsmith import init
from weightsmith.errors import InputError
from weightsmith.init.schemes import find_scheme


def by_name(decisions):
    return {decision.weight: decision for decision in decisions}


def mlp(depth=3, width=16, activation=nn.ReLU):
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), activation())]
    return nn.Sequential(*layers, nn.Linear(width, 4))


def is_draw(weight, distribution, *arguments):
    return stats.kstest(weight.detach().double().flatten().numpy(), distribution, args=arguments).pvalue > 1e-4


# --- the table


def test_table_functions_and_all_agree():
    for name, scheme in init.SCHEMES.items():
        assert scheme.name == name
        assert scheme.description
        assert getattr(init, scheme.function.__name__) is scheme.function
        assert scheme.function.__name__ in init.__all__
    functions = {name for name in init.__all__ if name.endswith("_")}
    # torch's absolute bounds are kept for drop-in use; the scheme takes standard deviations
    assert functions - {scheme.function.__name__ for scheme in init.SCHEMES.values()} == {"trunc_normal_"}


def test_names_and_aliases_are_one_each():
    names = [n for scheme in init.SCHEMES.values() for n in (scheme.name, *scheme.aliases)]
    assert len(names) == len(set(names))
    for name in names:
        assert find_scheme(name + "_") is find_scheme(name)


def test_every_scheme_draws_the_spread_it_announces():
    for name, scheme in init.SCHEMES.items():
        shape = nn.Conv2d(60, 80, 3) if name == "dirac" else nn.Linear(300, 400)
        options = {"val": 0.5} if name == "constant" else {}
        [decision, _] = init.apply(shape, {"name": name, **options})
        assert decision.scheme == name
        if decision.std is not None:
            assert shape.weight.std().item() == pytest.approx(decision.std, rel=0.03, abs=1e-9), name
        assert scheme.draws == (name not in ("identity", "dirac", "zeros", "ones", "constant"))
        assert (shape.bias == 0).all()


# --- automatic choice


@pytest.mark.parametrize(
    ("activation", "scheme", "gain"),
    [
        (nn.ReLU, "he_normal", math.sqrt(2)),
        (lambda: nn.LeakyReLU(0.2), "he_normal", math.sqrt(2 / 1.04)),
        (nn.PReLU, "he_normal", math.sqrt(2 / (1 + 0.25**2))),
        (nn.GELU, "he_normal", init.calculate_gain("gelu")),
        (nn.SiLU, "he_normal", init.calculate_gain("silu")),
        (lambda: nn.ELU(0.3), "he_normal", init.calculate_gain("elu", 0.3)),
        (nn.Tanh, "xavier_uniform", 5 / 3),
        (nn.Sigmoid, "xavier_uniform", 1.0),
        (nn.Softsign, "xavier_uniform", init.calculate_gain("softsign")),
        (nn.SELU, "lecun_normal", 1.0),
        (nn.Identity, "xavier_uniform", 1.0),
        (lambda: nn.Softmax(-1), "xavier_uniform", 1.0),
    ],
)
def test_automatic_choice_by_activation(activation, scheme, gain):
    model = nn.Sequential(nn.Linear(600, 500), activation(), nn.Linear(500, 3))
    decision = init.apply(model)[0]
    assert (decision.weight, decision.scheme) == ("0.weight", scheme)
    assert decision.gain == pytest.approx(gain)
    fan = {"he_normal": 600, "lecun_normal": 600, "xavier_uniform": 550}[scheme]
    std = gain / math.sqrt(fan)
    assert decision.std == pytest.approx(std)
    uniform = ("uniform", -math.sqrt(3) * std, 2 * math.sqrt(3) * std)
    assert is_draw(model[0].weight, *(uniform if scheme == "xavier_uniform" else ("norm", 0, std)))


def mean_square_at_the_end(activation, depth=20, width=256, seed=0):
    model = nn.Sequential(*(layer for _ in range(depth) for layer in (nn.Linear(width, width), activation())))
    init.apply(model, seed=seed)
    inputs = torch.randn(256, width, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model(inputs).square().mean().item()


@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [
        (nn.ReLU, 0.5, 2),
        (nn.GELU, 0.5, 2),
        (nn.ELU, 0.5, 2),
        (nn.Mish, 0.5, 2),
        (nn.SELU, 0.5, 2),
        (nn.Softplus, 0.5, 2),
        # SiLU's fixed point is unstable (d log E[f^2] / d log variance = 1.15): a draw may end at several times it
        (nn.SiLU, 0.4, 5),
        (nn.Tanh, 0.25, 1),
    ],
)
def test_signal_survives_twenty_layers(activation, low, high):
    assert low < np.median([mean_square_at_the_end(activation, seed=seed) for seed in range(9)]) < high


def test_torchs_default_collapses_where_auto_does_not():
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for _ in range(20) for layer in (nn.Linear(256, 256), nn.ReLU())))
    inputs = torch.randn(64, 256)
    assert model(inputs).std(0).max().item() < 1e-6
    init.apply(model)
    assert model(inputs).std(0).max().item() > 0.1


def test_decisions_print_one_a_line():
    decisions = init.explain(mlp(1))
    assert str(decisions).splitlines() == [
        "0.weight: he_normal (std 0.3536, gain 1.414), followed by relu",
        "0.bias: zeros, bias",
        "2.weight: xavier_uniform (std 0.3162, gain 1), followed by no activation",
        "2.bias: zeros, bias",
    ]
    assert all("\n" not in decision.reason for decision in decisions)


# --- draws depend on seed and name alone


def test_other_layers_do_not_change_a_draw():
    short = nn.ModuleDict({"a": nn.Linear(5, 4), "c": nn.Linear(3, 2)})
    long = nn.ModuleDict({"c": nn.Linear(3, 2), "b": nn.Conv1d(2, 2, 2), "a": nn.Linear(5, 4)})
    init.apply(short, seed=7)
    init.apply(long, seed=7)
    for name in ("a", "c"):
        assert torch.equal(short[name].weight, long[name].weight)
    before = short["a"].weight.clone()
    init.apply(short, seed=8)
    assert not torch.equal(short["a"].weight, before)


def test_similar_names_and_seeds_are_uncorrelated():
    model = nn.ModuleList(nn.Linear(200, 200, bias=False) for _ in range(12))
    init.apply(model, "normal", seed=1)
    first = copy.deepcopy(model)
    init.apply(model, "normal", seed=2)
    draws = torch.stack([layer.weight.detach().flatten() for layer in (*first, *model)])
    correlation = torch.corrcoef(draws) - torch.eye(24)
    assert correlation.abs().max() < 5.5 / math.sqrt(40_000)


def test_global_generator_is_not_touched():
    model, sample = mlp(), torch.randn(2, 16)
    state = torch.get_rng_state()
    init.apply(model, sample=sample)
    assert torch.equal(torch.get_rng_state(), state)


def test_explain_touches_nothing_and_agrees():
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    explained = init.explain(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert explained == init.apply(model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("scheme", ["auto", "orthogonal", "truncated_normal", "sparse"])
def test_sixteen_bits_are_the_float32_draw_rounded_once(scheme, dtype):
    model = mlp()
    low = copy.deepcopy(model).to(dtype)
    init.apply(model, scheme)
    init.apply(low, scheme)
    for ours, theirs in zip(low.parameters(), model.parameters(), strict=True):
        assert ours.dtype == dtype
        assert torch.equal(ours, theirs.to(dtype))


def test_float64_is_drawn_in_float64():
    layer = nn.Linear(40, 40).double()
    init.apply(layer, "orthogonal")
    torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(40).double(), atol=1e-13, rtol=0)


def test_channels_last_memory():
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU())
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    init.apply(model)
    init.apply(last)
    assert torch.equal(model[0].weight, last[0].weight)
    assert last[0].weight.is_contiguous(memory_format=torch.channels_last)


# --- layers made of several matrices


def variance(*tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).var().item()


@pytest.mark.parametrize("groups", [1, 4, 64])
def test_grouped_convolution(groups):
    conv = nn.Conv2d(64, 64, 5, groups=groups)
    init.apply(conv, "xavier_normal")
    fan = 64 // groups * 25
    assert variance(conv.weight) == pytest.approx(1 / fan, rel=0.1)


@pytest.mark.parametrize(("stride", "kernel", "groups"), [(1, 3, 1), (2, 4, 1), (2, 4, 8), (3, 3, 1), (4, 2, 1)])
def test_transposed_convolution_keeps_the_signals_power(stride, kernel, groups):
    conv = nn.ConvTranspose2d(64, 32, kernel, stride=stride, groups=groups, bias=False)
    init.apply(conv, "lecun_normal")
    with torch.no_grad():
        out = conv(torch.randn(8, 64, 12, 12))[..., kernel:-kernel, kernel:-kernel]
    covered = min(1.0, (kernel / stride) ** 2)  # with stride 4 and kernel 2 most outputs see nothing
    assert out.square().mean().item() == pytest.approx(covered, rel=0.15)


def test_forward_power_of_linear_and_grouped_layers():
    for layer, shape in ((nn.Linear(300, 200), (500, 300)), (nn.Conv1d(60, 30, 3, groups=6), (20, 60, 40))):
        init.apply(layer, "lecun_uniform")
        with torch.no_grad():
            assert layer(torch.randn(shape)).var().item() == pytest.approx(1, rel=0.1)


def test_attention_draws_queries_keys_and_values_apart():
    packed = nn.MultiheadAttention(64, 4)
    separate = nn.MultiheadAttention(64, 4, kdim=64, vdim=64)
    separate_keys = nn.MultiheadAttention(64, 4, kdim=32, vdim=16)
    for model in (packed, separate, separate_keys):
        init.apply(model)
    bound = math.sqrt(6 / 128)
    assert bound * 0.99 < packed.in_proj_weight.abs().max().item() <= bound
    assert separate_keys.q_proj_weight.abs().max().item() <= bound
    assert separate_keys.k_proj_weight.abs().max().item() > bound
    assert (packed.in_proj_bias == 0).all()


def test_a_linear_layer_named_qkv_is_packed():
    model = nn.ModuleDict({"qkv": nn.Linear(50, 150), "other": nn.Linear(50, 150)})
    std = {decision.weight: decision.std for decision in init.apply(model, "xavier_normal")}
    assert std["qkv.weight"] == pytest.approx(math.sqrt(1 / 50))
    assert std["other.weight"] == pytest.approx(math.sqrt(1 / 100))


@pytest.mark.parametrize(("layer", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_gate_by_gate(layer, gates):
    model = layer(10, 24, num_layers=2, bidirectional=True)
    init.apply(model)
    for name, parameter in model.named_parameters():
        if name.startswith("weight_hh"):
            for gate in parameter.detach().chunk(gates):
                torch.testing.assert_close(gate @ gate.T, torch.eye(24), atol=1e-5, rtol=0)
        elif name.startswith("weight_ih"):
            bound = math.sqrt(6 / (24 + parameter.shape[1]))
            assert 0.9 * bound < parameter.abs().max().item() <= bound
    forget = [p.detach().chunk(4)[1] for n, p in model.named_parameters() if n.startswith("bias")] if gates == 4 else []
    biases = sum(p.sum().item() for n, p in model.named_parameters() if n.startswith("bias"))
    assert biases == (24 * 4 if gates == 4 else 0)  # two layers, two directions, one of the two biases
    assert sorted({f.unique().item() for f in forget}) == ([0.0, 1.0] if gates == 4 else [])


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)])
def test_recurrent_cells(cell, gates):
    model = cell(10, 24)
    init.apply(model)
    for gate in model.weight_hh.detach().chunk(gates):
        torch.testing.assert_close(gate.T @ gate, torch.eye(24), atol=1e-5, rtol=0)
    assert model.bias_ih.sum().item() + model.bias_hh.sum().item() == (24 if gates == 4 else 0)


def test_projected_lstm():
    model = nn.LSTM(10, 24, proj_size=6)
    decisions = by_name(init.apply(model))
    assert decisions["weight_hr_l0"].std == pytest.approx(math.sqrt(2 / 30))
    for gate in model.weight_hh_l0.detach().chunk(4):
        torch.testing.assert_close(gate.T @ gate, torch.eye(6), atol=1e-5, rtol=0)


def test_embeddings():
    model = nn.Embedding(500, 80, padding_idx=3)
    init.apply(model)
    assert (model.weight[3] == 0).all()
    assert variance(model.weight[4:]) == pytest.approx(1, rel=0.05)


def test_norms_and_what_nobody_knows():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.GroupNorm(2, 4)
            self.token = nn.Parameter(torch.full((1, 1, 4), 9.0))
            self.counts = nn.Parameter(torch.arange(3), requires_grad=False)
            self.slope = nn.PReLU()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.empty = nn.Linear(0, 3)

    model = Model()
    with torch.no_grad():
        model.norm.weight.fill_(5)
        model.norm.bias.fill_(5)
    decisions = by_name(init.apply(model))
    assert (model.norm.weight == 1).all()
    assert (model.norm.bias == 0).all()
    assert (model.token == 9).all()
    assert model.slope.weight.item() == 0.25
    assert {name for name, d in decisions.items() if d.scheme == "left"} == {
        "token", "counts", "slope.weight", "empty.weight"
    }  # fmt: skip
    assert "name it in a mapping" in decisions["token"].reason
    init.apply(model, {"token": {"name": "truncated_normal", "std": 0.02}, "slope.weight": "ones"})
    assert 0 < model.token.abs().max() <= 0.04
    assert model.slope.weight.item() == 1


# --- tied, parametrized and wrapped


def test_tied_weights_are_drawn_once_under_their_first_name():
    class Tied(nn.Module):
        def __init__(self, tie=True):
            super().__init__()
            self.embedding = nn.Embedding(300, 100)
            self.head = nn.Linear(100, 300, bias=False)
            if tie:
                self.head.weight = self.embedding.weight

    model = Tied()
    decisions = by_name(init.apply(model, seed=3))
    assert decisions["head.weight"].scheme == "tied"
    assert "embedding.weight" in decisions["head.weight"].reason
    assert decisions["embedding.weight"].std == pytest.approx(0.1)
    assert model.head.weight is model.embedding.weight
    logits = model.head(model.embedding(torch.arange(300)))
    assert logits[~torch.eye(300, dtype=torch.bool)].var().item() == pytest.approx(0.01, rel=0.1)
    # meant by its second name
    init.apply(model, {"head.weight": {"name": "constant", "val": 2.0}})
    assert (model.embedding.weight == 2).all()


def test_parametrized_weights():
    plain = nn.Linear(30, 20)
    normed = nn.utils.parametrizations.weight_norm(copy.deepcopy(plain))
    init.apply(nn.ModuleDict({"layer": plain}), "he_normal")
    decisions = by_name(init.apply(nn.ModuleDict({"layer": normed}), "he_normal"))
    assert set(decisions) == {"layer.weight", "layer.bias"}
    torch.testing.assert_close(normed.weight, plain.weight)
    orthogonal = nn.utils.parametrizations.orthogonal(nn.Linear(8, 8))
    init.apply(orthogonal, "orthogonal")
    torch.testing.assert_close(orthogonal.weight @ orthogonal.weight.T, torch.eye(8), atol=1e-5, rtol=0)


def test_parametrization_without_an_inverse_gets_its_original_drawn():
    class Double(nn.Module):
        def forward(self, weight):
            return 2 * weight

    layer = nn.Linear(300, 200)
    parameter = layer.weight
    nn.utils.parametrize.register_parametrization(layer, "weight", Double())
    init.apply(layer, {"name": "normal", "std": 0.1})
    assert layer.parametrizations.weight.original is parameter
    assert parameter.std().item() == pytest.approx(0.1, rel=0.02)


def test_wrappers_are_looked_through():
    plain, wrapped = mlp(), mlp()
    init.apply(plain, seed=5)
    init.apply(torch.compile(nn.DataParallel(wrapped), backend="eager"), seed=5)
    for ours, theirs in zip(wrapped.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_compiled_part_keeps_its_name():
    plain, part = nn.Sequential(nn.Sequential(nn.Linear(4, 4)), nn.ReLU()), nn.Sequential(nn.Linear(4, 4))
    model = nn.Sequential(torch.compile(part, backend="eager"), nn.ReLU())
    assert [d.weight for d in init.apply(model, "normal")] == ["0.0.weight", "0.0.bias"]
    init.apply(plain, "normal")
    assert torch.equal(plain[0][0].weight, part[0].weight)


# --- patterns


def test_first_matching_pattern_wins_and_the_rest_is_left():
    model = mlp(3)
    before = copy.deepcopy(model.state_dict())
    decisions = by_name(init.apply(model, {"2.*": "zeros", "[02].weight": "ones", "4": "auto"}))
    assert (model[2].weight == 0).all()
    assert (model[0].weight == 1).all()
    assert decisions["4.weight"].reason == "followed by relu"
    assert torch.equal(model[6].weight, before["6.weight"])
    assert torch.equal(model[0].bias, before["0.bias"])
    assert decisions["6.weight"].scheme == "left"
    assert decisions["6.weight"].reason == "no pattern matches it"


def test_kept_leaves_everything_as_it_is():
    model = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(1, 2)
    before = copy.deepcopy(model.state_dict())
    decisions = init.apply(model, "kept")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert {(decision.scheme, decision.reason) for decision in decisions} == {("left", "kept as it is")}
    init.apply(model, {"0.*": "kept", "*": "zeros"})
    assert torch.equal(model[0].weight, before["0.weight"])
    assert (model[2].weight == 0).all()


def test_biases_follow_only_patterns_that_name_them():
    model = nn.Sequential(nn.Linear(50, 40), nn.LayerNorm(40))
    init.apply(model, {"*": {"name": "normal", "std": 1.0}})
    assert (model[0].bias == 0).all()
    assert (model[1].weight == 1).all()
    init.apply(model, {"*.bias": {"name": "normal", "std": 1.0}, "1.weight": {"name": "constant", "val": 3}})
    assert model[0].bias.std().item() == pytest.approx(1, rel=0.4)
    assert (model[1].weight == 3).all()


def test_options():
    model = mlp(1, 300)
    decision = init.apply(model, {"name": "he_uniform", "nonlinearity": "leaky_relu", "a": 0.3, "mode": "fan_out"})[0]
    assert decision.std == pytest.approx(math.sqrt(2 / 1.09 / 300))
    assert is_draw(model[0].weight, "uniform", -math.sqrt(3) * decision.std, 2 * math.sqrt(3) * decision.std)


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        ("xavir_normal", "unknown scheme 'xavir_normal'.*did you mean 'xavier_normal'"),
        ({"0.wieght": "zeros"}, "pattern '0.wieght' matches no weight; did you mean '0.weight'"),
        ({"name": "normal", "sdt": 1}, "unknown option of scheme 'normal' 'sdt'.*did you mean 'std'"),
        ({"*": {"name": "normal", "generator": None}}, "unknown option"),
        ("constant", "needs the option 'val'"),
        ({"*": 3}, "needs a scheme's name"),
        ({"*": {"std": 3}}, "needs a scheme's name"),
        ({"name": "auto", "gain": 2}, "'auto' takes no options"),
        ({"name": "kept", "gain": 2}, "'kept' takes no options"),
        ("dirac", "'0.weight' cannot start as dirac"),
        ({"0.bias": "he_normal"}, "'0.bias' cannot start as he_normal"),
        ({"name": "normal", "std": "big"}, "'0.weight' cannot start as normal"),
        ({"name": "normal", "std": -1.0}, "'0.weight' cannot start as normal"),
        ({"name": "sparse", "sparsity": 90}, "share from 0 to 1"),
        ({"name": "he_normal", "nonlinearity": "gelo"}, "did you mean 'gelu'"),
    ],
)
def test_mistakes_get_one_line_and_change_nothing(scheme, message):
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=message) as caught:
        init.apply(model, scheme)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_meta_tensors_are_refused_but_explained():
    with torch.device("meta"):
        model = mlp(1)
    assert init.explain(model) == init.explain(mlp(1))
    with pytest.raises(InputError, match=r"'0.weight' is on the meta device.*to_empty"):
        init.apply(model)


def test_lazy_layers_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(InputError, match=r"'0.weight' has no shape yet"):
        init.apply(model)


def test_model_without_weights():
    assert init.apply(nn.ReLU()) == []


def test_sample_tells_what_tracing_cannot():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return torch.relu(self.layer(x)) if float(x.sum()) > -1e9 else x

    model = Model()
    assert init.explain(model)[0].scheme == "xavier_uniform"
    assert "sample" in init.explain(model)[0].reason
    assert init.apply(model, sample=torch.ones(2, 4))[0].scheme == "he_normal"


@pytest.mark.parametrize("scheme", [None, 3, ["normal"], {1: "normal"}])
def test_schemes_of_the_wrong_type_are_named(scheme):
    with pytest.raises(InputError, match="not"):
        init.apply(mlp(), scheme)


@pytest.mark.parametrize("seed", [None, 1.5, "a"])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(InputError, match="seed"):
        init.apply(mlp(), seed=seed)


def test_only_modules_are_initialized():
    with pytest.raises(InputError, match="list"):
        init.apply([mlp()])


def test_a_spread_that_is_not_finite_is_refused_before_anything_is_written():
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match="spread would be inf"):
        init.apply(model, {"name": "xavier_normal", "gain": math.inf})
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("scheme", ["he_normal", "truncated_normal", "orthogonal", "auto"])
def test_the_default_device_changes_nothing(scheme):
    model = mlp()
    other = copy.deepcopy(model)
    with torch.device("meta"):
        init.apply(model, scheme)
    init.apply(other, scheme)
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), other.parameters(), strict=True))
