"""The engine: one pass for all rules, what is not judged is listed, and settings reach every rule."""

import dataclasses
import json

import numpy as np
import pytest

import weightsmith as ws
from weightsmith.errors import InputError, SourceError
from weightsmith.rules import RULES, Baseline, Configuration, Rule, check, explain, explanation, find_rule, fix_hint
from weightsmith.rules.reports.unjudged import not_checked
from weightsmith.rules.rule import NotCheckedError, Subject, UnreadableError
from weightsmith.rules.suppression import Suppression
from weightsmith.sources import Source
from weightsmith.sources.safetensors import write_safetensors
from weightsmith.sources.source import Aside, Weight
from weightsmith.weight import WeightInfo


def weight(name, values=None, *, shape=(4, 4), role="linear", dtype="float32", reason=None, **info):
    def read():
        if reason:
            raise InputError(reason)
        return values

    shape = values.shape if values is not None else shape
    return Weight(WeightInfo(name, shape, dtype, role, **info), int(np.prod(shape)) * 4, read)


def matrix(seed=0, shape=(32, 32)):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def rule(monkeypatch):
    """Replace the rule WS202 by one that does as told."""

    def install(look, **fields):
        made = dataclasses.replace(RULES["WS202"], look=look, **fields)
        monkeypatch.setitem(RULES, "WS202", made)
        return made

    return install


def only(source, **options):
    return check(source, select=["WS202"], **options)


def test_a_weight_that_cannot_be_read_is_listed_once_and_reaches_no_rule():
    broken = matrix()
    broken[0, 0] = np.nan
    source = Source(
        "model",
        [weight("packed", dtype="float4", reason="packed float4"), weight("fc", broken), weight("fc2", matrix(1))],
        aside=[Aside("optimizer", "optimizer state", 100)],
    )
    report = check(source)
    assert [finding.weight for finding in report] == ["fc"]
    assert report.unreadable == {"packed": "packed float4"}
    assert not any("packed" in item.reason for item in report.skipped)
    lines = list(not_checked(report))
    assert "No rule: 1 weight (packed): packed float4" in lines
    assert "Not a weight: optimizer: optimizer state" in lines


def test_a_damaged_weight_ends_the_check_rather_than_being_passed_over(tmp_path):
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"a.weight": matrix(), "b.weight": matrix(1)})
    source = ws.open(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"m\.safetensors"):
        check(source)

    def broken():
        yield matrix()[0]
        raise SourceError("m.npz: its compressed bytes are damaged")

    packed = Weight(WeightInfo("a", (32, 32), "float32", "linear"), 4096, _blocks=broken)
    with pytest.raises(SourceError, match="damaged"):
        check(Source("m.npz", [packed, weight("b", matrix())]))


def test_all_rules_share_one_pass_over_the_weights():
    reads = []
    values = matrix()

    def read():
        reads.append("fc")
        return values

    source = Source("model", [Weight(WeightInfo("fc", values.shape, "float32", "bias"), values.nbytes, read)])
    check(source, select=["WS201", "WS202", "WS203"])
    assert reads == ["fc"]


def test_a_rule_lists_the_weights_it_left_out_by_reason(rule):
    def look(rule, subject):
        for weight in subject.each():
            if weight.size > 100:
                subject.skip(rule, weight.name, "over 100 values")
            else:
                yield rule.finding("small", "", {}, weight=weight.name)

    rule(look)
    report = only(Source("m", [weight("a", matrix()), weight("b", matrix()), weight("c", matrix(shape=(2, 2)))]))
    assert [finding.weight for finding in report] == ["c"]
    (left,) = report.unchecked
    assert (left.code, left.reason, left.weights) == ("WS202", "over 100 values", ("a", "b"))
    assert list(not_checked(report)) == ["WS202 heavy-outliers: 2 weights (a, b): over 100 values"]
    assert report.checked == ("WS202",)


def test_a_rule_that_stops_half_way_keeps_its_findings_and_is_listed(rule):
    def look(rule, subject):
        yield rule.finding("first", "", {})
        subject.sketch(subject.source["packed"])

    rule(look)
    report = only(Source("m", [weight("packed", reason="packed float4"), weight("fc", matrix())]))
    assert [finding.message for finding in report] == ["first"]
    assert report.skipped[0].reason == "packed: packed float4"
    assert report.checked == ()


def test_each_hands_out_what_a_rule_is_about():
    shared = matrix()
    source = Source(
        "m",
        [
            weight("bias", matrix(shape=(8,)), role="bias"),
            weight("small", matrix(shape=(2, 2))),
            weight("vector", matrix(shape=(64,))),
            weight("wte", shared, role="embedding"),
            weight("head", shared, tied_to="wte"),
            weight("packed", reason="packed"),
        ],
    )
    subject = Subject(source)

    def names(**options):
        return [weight.name for weight in subject.each(**options)]

    assert names() == ["small", "vector", "wte"]
    assert names(least_size=5, least_axes=2) == ["wte"]
    assert names(least_size=5, least_axes=2, tied=True) == ["wte", "head"]
    assert names(roles=("bias",)) == ["bias"]
    assert set(subject.weights) == set(source) - {"packed"}


def test_nothing_readable_is_a_reason_and_so_are_no_weights_at_all():
    with pytest.raises(NotCheckedError, match="no weight could be read"):
        list(Subject(Source("m", [weight("a", reason="packed")])).each())
    assert list(Subject(Source("m", [])).each()) == []
    with pytest.raises(NotCheckedError, match="no snapshot"):
        Subject(None).require_weights()
    assert Subject(None).weights is None
    packed = weight("a", reason="packed")
    with pytest.raises(UnreadableError, match="a: packed"):
        Subject(Source("m", [packed])).sketch(packed)


def test_an_empty_source_and_weights_without_values_are_judged_in_peace():
    for source in (
        Source("m", []),
        Source("m", [weight("a", np.zeros((0, 4), np.float32)), weight("b", np.float32(1.5).reshape(()))]),
    ):
        report = check(source)
        assert list(report) == []
        assert {*report.checked, *(item.code for item in report.skipped)} == set(RULES)


@pytest.mark.parametrize(
    ("shape", "axis", "wanted"),
    [((3, 4), 0, (3, 4)), ((3, 4), 1, (4, 3)), ((2, 3, 5, 7), 3, (7, 30)), ((5,), 0, (5, 1)), ((0, 4), 1, (4, 0))],
)
def test_a_matrix_has_neurons_as_rows_whatever_the_format(shape, axis, wanted):
    values = matrix(shape=shape)
    source = Source("m", [weight("a", values, output_axis=axis)])
    found = Subject(source).matrix(source["a"])
    assert found.shape == wanted
    if len(shape) > 1 and values.size:
        np.testing.assert_array_equal(found[1], np.take(values, 1, axis).ravel())


def test_rows_are_measured_once_for_all_rules(monkeypatch):
    from weightsmith.analysis import rows

    calls = []
    monkeypatch.setattr(rows, "row_statistics", lambda weight, threads: calls.append((weight.name, threads)) or weight)
    source = Source("m", [weight("a", matrix())])
    subject = Subject(source, threads=3)
    assert subject.rows(source["a"]) is subject.rows(source["a"])
    assert calls == [("a", 3)]


def test_thresholds_come_from_the_rule_unless_the_configuration_has_others(rule):
    def look(rule, subject):
        yield rule.finding("", "", {"limit": subject.threshold(rule, "limit")})

    source = Source("m", [])
    made = rule(look, thresholds={"limit": 2.0})
    assert next(iter(only(source))).evidence["limit"] == 2.0
    changed = Configuration(thresholds={"WS202": {"limit": 9.0}})
    assert next(iter(only(source, configuration=changed))).evidence["limit"] == 9.0
    with pytest.raises(AssertionError, match="no threshold called other"):
        Subject(source).threshold(made, "other")


@pytest.fixture
def dead_rows():
    """Two layers with a row of zeros each."""
    values = [matrix(seed) for seed in range(2)]
    for value in values:
        value[3] = 0
    return Source("m", [weight("encoder.fc", values[0]), weight("decoder.fc", values[1])])


def test_severities_of_the_configuration_hold_for_all_findings_of_a_rule(dead_rows):
    report = check(dead_rows, select=["WS203"], configuration=Configuration(severity={"WS203": "error"}))
    assert {finding.severity for finding in report} == {"error"}
    assert len(report.at_least("error")) == 2


def test_rules_given_to_check_take_the_place_of_those_of_the_configuration(dead_rows):
    settings = Configuration(select=("WS203",), ignore=("WS201",))
    assert check(dead_rows, configuration=settings).checked == ("WS203",)
    assert check(dead_rows, configuration=settings, select=["WS2"]).checked[0] == "WS202"
    assert check(dead_rows, configuration=settings, select=["WS201"], ignore=["WS203"]).checked == ("WS201",)


def test_suppressed_findings_keep_their_reason_and_idle_suppressions_are_told(dead_rows):
    def passing(rule, *weights):
        return Suppression(rule, frozenset({find_rule(rule).code}), "pruned", weights or ("*",))

    settings = Configuration(suppressions=(passing("WS203", "encoder.*"), passing("WS203", "head.*"), passing("WS101")))
    report = check(dead_rows, select=["WS2"], configuration=settings)
    assert [finding.weight for finding in report] == ["decoder.fc"]
    assert [(item.finding.weight, item.reason) for item in report.suppressed] == [("encoder.fc", "pruned")]
    assert report.idle == ("WS203 for head.* (pruned)",)


def test_known_findings_are_apart_and_only_applied_rules_can_miss_one(dead_rows):
    report = check(dead_rows, select=["WS203"])
    extra = dataclasses.replace(report.findings[0], weight="gone")
    other = dataclasses.replace(report.findings[0], code="WS204")
    known = Baseline.of([*report.findings[:1], extra, other])
    again = check(dead_rows, select=["WS203"], baseline=known)
    assert ([item.weight for item in again], [item.weight for item in again.known]) == (["decoder.fc"], ["encoder.fc"])
    assert (again.gone, again.has_baseline) == (1, True)


def test_the_report_is_plain_json_with_everything_in_it(dead_rows):
    report = check(dead_rows, configuration=Configuration(suppressions=(Suppression("x", frozenset({"WS203"}), "y"),)))
    facts = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert {item["reason"] for item in facts["suppressed"]} == {"y"}
    assert set(facts["checked"]) | {item["code"] for item in facts["not_checked"]} == set(RULES)


def test_numpy_numbers_in_evidence_become_plain_ones():
    made = RULES["WS202"].finding("", "", {"count": np.int64(3), "size": np.float32(0.5), "worst": float("inf")})
    assert json.loads(json.dumps(made.to_json(), allow_nan=False))["evidence"] == {
        "count": 3,
        "size": 0.5,
        "worst": None,
    }


def test_progress_tells_bytes_then_rules(tmp_path):
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"a.weight": matrix(), "b.weight": matrix(1)})
    told = []
    check(path, select=["WS201"], progress=lambda *what: told.append(what))
    assert {total for _, total, _ in told} == {2 * 32 * 32 * 4}
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1] == (8192, 8192, "WS201 non-finite-weights")


def test_findings_know_where_their_weights_lie(tmp_path):
    path = tmp_path / "m.safetensors"
    values = matrix()
    values[1] = 0
    write_safetensors(path, {"a.weight": values})
    report = check(path, select=["WS203"])
    place = report.locations["a.weight"]
    assert (place.file, place.length) == (str(path), values.nbytes)
    assert path.read_bytes()[place.offset : place.offset + place.length] == values.tobytes()
    assert report.label == str(path)


def test_hints_are_those_of_the_table_or_the_rules_advice_in_words():
    found = RULES["WS203"].finding("", "", {}, weight="fc")
    assert "for name in ['fc', 'head']:" in fix_hint(found, dataclasses.replace(found, weight="head"))
    assert fix_hint(dataclasses.replace(found, code="WS209")) == RULES["WS209"].section("What to do")


def test_explanations_state_settings_and_calibration(rule, monkeypatch):
    rule(RULES["WS202"].look, thresholds={"kurtosis": 300.0})
    measured = {"models": 7, "flagged_models": 1, "weights": 812, "flagged_weights": 3, "weights_upper": 0.0108}
    monkeypatch.setattr(
        explanation, "_calibrations", lambda: {"models": ["MiniLM", "CREPE"], "rules": {"WS202": measured}}
    )
    text = explain("heavy-outliers")
    assert "| `kurtosis` | 300 |" in text
    assert "[tool.weightsmith.check.thresholds]\nheavy-outliers.kurtosis = 300" in text
    assert "it flags 1 of 7 models and 3 of 812 weights (0.4%; with 95 % confidence below 1.1%" in text
    assert "of such weights): MiniLM, CREPE." in text
    assert "Not calibrated" in explain("WS203")
    assert "no threshold to change" in explain("WS201")


def test_every_override_that_explain_shows_is_accepted(tmp_path):
    settable = {code: rule for code, rule in RULES.items() if rule.thresholds}
    for code, rule in settable.items():
        text = explain(code).partition("```toml\n")[2].partition("```")[0]
        path = tmp_path / "pyproject.toml"
        path.write_text(text)
        settings = Configuration.load(path)
        assert dict(settings.thresholds.get(code, {})) == {
            name: pytest.approx(value, rel=1e-4) for name, value in rule.thresholds.items()
        }


def test_a_rule_judges_a_run_or_weights():
    runs = ("WS1", "WS30")
    assert {rule.applies for code, rule in RULES.items() if code.startswith(runs)} == {"run"}
    assert {rule.applies for code, rule in RULES.items() if not code.startswith(runs)} == {"weights"}
    assert isinstance(RULES["WS201"], Rule)


def test_a_check_of_runs_alone_does_not_read_the_weights(train, mlp, monkeypatch):
    run = train(mlp(), steps=5)
    monkeypatch.setattr("weightsmith.scan.scan", lambda *_, **__: pytest.fail("read"))
    assert check(run, select=["WS1"]).unreadable == {}
    assert ws.check(run, select=["WS103"]).label
