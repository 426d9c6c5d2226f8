"""Every rule on values, on what breaks careless code: no values, one, NaN, narrow types; and on healthy models."""

import warnings

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import weightsmith as ws
from weightsmith.rules import RULES
from weightsmith.sources.source import Source, Weight
from weightsmith.weight import ROLES, WeightInfo

CODES = [code for code, rule in RULES.items() if rule.applies == "weights"]
SHAPES = [(), (0,), (1,), (7,), (0, 5), (5, 0), (1, 1), (2, 1), (40, 1), (1, 300), (20, 30), (4, 3, 3, 3), (5, 4, 6)]
NAMES = [
    "fc.weight",
    "fc.bias",
    "norm.weight",
    "bn.running_var",
    "bn.running_mean",
    "embed_tokens.weight",
    "lm_head.weight",
    "embeddings.position_embeddings.weight",
    "attn.q_proj.weight",
    "attn.k_proj.weight",
    "attn.v_proj.weight",
    "rnn.weight_hh_l0",
    "rnn.bias_ih_l0",
    "mlp.experts.0.weight",
    "q.lora_B.weight",
]
FILLS = {
    "zeros": lambda g, s: np.zeros(s),
    "ones": lambda g, s: np.ones(s),
    "normal": lambda g, s: g.standard_normal(s),
    "nan": lambda g, s: np.full(s, np.nan),
    "some infinite": lambda g, s: np.where(g.random(s) < 0.3, np.inf, g.standard_normal(s)),
    "huge": lambda g, s: g.standard_normal(s) * 1e30,
    "tiny": lambda g, s: g.standard_normal(s) * 1e-42,
}
DTYPES = ["float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "int8", "int64", "bool"]


def weight(name, values, role, axis=0):
    info = WeightInfo(name, values.shape, values.dtype.name, role, output_axis=axis)
    return Weight(info, values.nbytes, lambda: values)


def cast(values, dtype):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return values.astype(getattr(ml_dtypes, dtype, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fill", FILLS)
def test_no_values_of_any_shape_or_type_break_a_rule(dtype, fill):
    generator = np.random.default_rng(0)
    for shape in SHAPES:
        for role in ROLES:
            weights = [weight(name, cast(FILLS[fill](generator, shape), dtype), role) for name in NAMES]
            report = ws.check(Source("model", weights), select=["WS2", "WS31"])
            assert {*report.checked, *(item.code for item in report.skipped)} == set(CODES)
            for finding in report:
                assert finding.message.endswith(".")
                assert "\n" not in str(finding)
                assert finding.advice


shapes = st.lists(st.integers(0, 12), min_size=0, max_size=4).map(tuple)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES), shapes, st.sampled_from(list(FILLS)), st.sampled_from(ROLES), st.integers(0, 3)
        ),
        max_size=8,
    )
)
def test_models_of_anything_are_judged(drawn):
    generator = np.random.default_rng(0)
    weights = {
        name: weight(name, FILLS[fill](generator, shape).astype(np.float32), role, axis % max(len(shape), 1))
        for name, shape, fill, role, axis in drawn
    }
    report = ws.check(Source("model", weights.values()), select=["WS2", "WS31"])
    assert {*report.checked, *(item.code for item in report.skipped)} == set(CODES)


HEALTHY = {
    "mlp": lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)),
    "cnn": lambda: nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3)),
    "lstm": lambda: nn.LSTM(32, 48, num_layers=2),
    "transformer": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(128, 4, 256, batch_first=True), 6),
}


@pytest.mark.parametrize("kind", HEALTHY)
def test_fresh_models_are_only_said_to_be_fresh(kind):
    torch.manual_seed(0)
    report = ws.check(HEALTHY[kind](), select=["WS2", "WS31"])
    assert not report.faults
    assert {finding.name for finding in report} <= {"untrained-layer", "untrained-biases"}


@pytest.mark.parametrize("kind", HEALTHY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_models_like_trained_ones_have_no_findings(kind, dtype):
    torch.manual_seed(0)
    model = HEALTHY[kind]()
    with torch.no_grad():
        for value in model.parameters():
            # Heavier tails and rows of different norms, as training leaves them.
            student = torch.distributions.StudentT(6.0).sample(value.shape)
            rows = torch.exp(0.3 * torch.randn(value.shape[0], *[1] * (value.ndim - 1)))
            value.copy_((value if value.ndim > 1 else value + 0.02) * rows + 0.02 * student)
    report = ws.check(model.to(dtype), select=["WS2", "WS31"])
    assert list(report) == []


def test_what_a_rule_cannot_read_row_by_row_is_listed(monkeypatch):
    from weightsmith.rules import sample

    monkeypatch.setattr(sample, "_WHOLE", 1000)
    values = np.random.default_rng(0).standard_normal((100, 80))
    report = ws.check(Source("model", [weight("fc.weight", values, "linear")]), select=["WS210", "WS218"])
    assert [(item.code, item.weights) for item in report.unchecked] == [
        ("WS210", ("fc.weight",)),
        ("WS218", ("fc.weight",)),
    ]


def test_whole_numbers_are_listed_as_not_judged():
    values = np.random.default_rng(0).integers(-100, 100, (64, 64)).astype(np.int8)
    floats = values.astype(np.float32)
    source = Source("model", [weight("a.weight", values, "linear"), weight("b.weight", floats, "linear")])
    (item,) = ws.check(source, select=["zero-rows"]).unchecked
    assert item.weights == ("a.weight",)


def test_thresholds_are_documented_by_name_in_the_settings():
    for code in CODES:
        for name, value in RULES[code].thresholds.items():
            assert f"{name}" in ws.rules.explain(code)
            assert isinstance(value, float)


def test_thresholds_in_force_are_in_the_evidence(source_of):
    values = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    values[0, 0] = 50
    configuration = ws.rules.Configuration(thresholds={"WS202": {"spike": 5.0}})
    (finding,) = ws.check(source_of({"fc.weight": values}), select=["WS202"], configuration=configuration)
    assert finding.evidence["spike_threshold"] == 5
