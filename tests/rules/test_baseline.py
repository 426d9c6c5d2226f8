"""A baseline recognizes findings whatever their numbers, tells when they became worse, and survives damage."""

import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.rules import Baseline, Finding
from weightsmith.rules import baseline as module
from weightsmith.rules.baseline import fingerprints, write_whole


def finding(value=4.0, *, weight="fc.weight", severity="warning", code="WS203", **evidence):
    return Finding(code, "zero-rows", severity, weight, f"{value} rows are zero.", "x", {"rows": value, **evidence})


def new(before, after):
    return Baseline.of([before]).split([after])[0] != []


def test_what_is_known_is_parted_from_what_is_new_and_what_is_gone():
    old = Baseline.of([finding(), finding(weight="gone")])
    fresh = [finding(), finding(weight="other"), finding(code="WS204")]
    found, known, gone = old.split(fresh)
    assert (found, known) == (fresh[1:], fresh[:1])
    assert [item.weight for item in gone] == ["gone"]


def test_numbers_wording_and_mild_changes_do_not_make_a_finding_new():
    assert not new(finding(4), finding(7.9))
    assert not new(finding(4), finding(1))
    assert not new(finding(4, first="5, 7"), finding(4, first="6, 8"))


def test_a_finding_that_became_twice_as_bad_is_new_again():
    assert new(finding(4), finding(8))
    assert new(finding(-4), finding(-8))
    assert not new(finding(0.05, threshold=0.1), finding(0.026, threshold=0.1))
    assert new(finding(0.05, threshold=0.1), finding(0.025, threshold=0.1))
    assert new(finding(0.05, rows_threshold=0.1), finding(0.01, rows_threshold=0.1))
    assert not new(finding(0.05, other_threshold=0.1), finding(0.01, other_threshold=0.1))


def test_a_severity_that_rose_makes_a_finding_new():
    assert new(finding(severity="warning"), finding(severity="error"))
    assert not new(finding(severity="error"), finding(severity="warning"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0, 0.0])
def test_a_number_that_cannot_grow_stays_known(value, tmp_path):
    Baseline.of([finding(value)]).save(tmp_path / "known.json")
    assert Baseline.load(tmp_path / "known.json").split([finding(value)])[0] == []


def test_names_in_the_evidence_tell_findings_apart():
    assert new(finding(other="lm_head.weight"), finding(other="wte.weight"))
    assert not new(finding(other="lm_head.weight"), finding(other="lm_head.weight"))


def test_equal_findings_are_told_apart_by_their_order():
    marks = fingerprints([finding(1), finding(2), finding(3)])
    assert len(set(marks)) == 3
    assert marks[:2] == fingerprints([finding(5), finding(6)])


NAMES = st.text(max_size=12)


@given(st.lists(st.tuples(st.sampled_from(["WS201", "WS203"]), NAMES | st.none(), st.floats()), max_size=12))
def test_what_was_saved_is_known_when_it_is_read(tmp_path_factory, found):
    findings = [finding(value, weight=name, code=code) for code, name, value in found]
    path = tmp_path_factory.mktemp("baseline") / "known.json"
    Baseline.of(findings).save(path)
    fresh, known, gone = Baseline.load(path).split(findings)
    assert (fresh, known, gone) == ([], findings, [])


def test_a_baseline_is_sorted_one_finding_a_line(tmp_path):
    path = tmp_path / "known.json"
    Baseline.of([finding(code="WS204"), finding(weight="b"), finding(weight="a")]).save(path)
    again = tmp_path / "again.json"
    Baseline.of([finding(weight="a"), finding(code="WS204"), finding(weight="b")]).save(again)
    assert path.read_text() == again.read_text()
    assert len(path.read_text().splitlines()) == 5


def entry(**changes):
    return {"fingerprint": "0", "code": "WS203", "weight": None, "severity": "info", "measured": 1.0} | changes


DAMAGED = {
    "empty": "",
    "no JSON": "{",
    "not UTF-8": b"\xff\xfe\x00",
    "another JSON": "[]",
    "a report": '{"findings": []}',
    "no findings": '{"weightsmith_baseline": 1}',
    "findings of a wrong type": '{"weightsmith_baseline": 1, "findings": 3}',
    "a newer version": '{"weightsmith_baseline": 2, "findings": []}',
    "a finding of a wrong type": '{"weightsmith_baseline": 1, "findings": [3]}',
    "a missing field": '{"weightsmith_baseline": 1, "findings": [{}]}',
    "a wrong severity": json.dumps({"weightsmith_baseline": 1, "findings": [entry(severity=["info"])]}),
    "a wrong number": json.dumps({"weightsmith_baseline": 1, "findings": [entry(measured="4")]}),
    "a number beyond all": '{"weightsmith_baseline": 1, "findings": [' + json.dumps(entry(measured=10**400)) + "]}",
    "a wrong name": json.dumps({"weightsmith_baseline": 1, "findings": [entry(weight=3)]}),
    "nested": "[" * 100_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_baseline_is_one_line(tmp_path, content):
    path = tmp_path / "known.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"known\.json: not a baseline, or damaged") as caught:
        Baseline.load(path)
    assert "\n" not in str(caught.value)


def test_a_baseline_that_is_missing_or_far_too_long_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no baseline is there; --write-baseline"):
        Baseline.load(tmp_path / "known.json")
    (tmp_path / "known.json").write_text("x" * 100)
    monkeypatch.setattr(module, "LARGEST_FILE", 99)
    with pytest.raises(InputError, match="which no baseline is"):
        Baseline.load(tmp_path / "known.json")


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "known.json"
    write_whole(path, "before")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"known\.json: cannot be written: no space left"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert [item.name for item in tmp_path.iterdir()] == ["known.json"]


def test_writing_needs_a_folder_follows_links_and_keeps_the_usual_mode(tmp_path):
    with pytest.raises(InputError, match="cannot be written: no such file or directory"):
        write_whole(tmp_path / "none" / "known.json", "")
    target, link, plain = tmp_path / "target.json", tmp_path / "link.json", tmp_path / "plain"
    link.symlink_to(target)
    write_whole(link, "text")
    plain.touch()
    assert link.is_symlink()
    assert target.read_text() == "text"
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    write_whole("/dev/null", "text")
