"""What the first values of all rows prove, against the same rules where they have to measure whole rows."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weightsmith as ws
from weightsmith.rules import RULES
from weightsmith.rules.starts import LENGTH, starts
from weightsmith.rules.subject import Subject
from weightsmith.sources import Source, Weight
from weightsmith.sources.safetensors import write_safetensors

ROWS = 40


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("starts") / "model.safetensors"


def in_file(path, values, axis):
    write_safetensors(path, {"fc.weight": values})
    (weight,) = ws.open(path).values()
    turned = replace(weight, info=replace(weight.info, output_axis=axis, role="linear"))
    return Source(str(path), [turned])


def in_memory(source):
    """The same weight without a place in a file, so that whole rows are measured."""
    (weight,) = source.values()
    values = weight.read()
    return Source("memory", [Weight(weight.info, weight.nbytes, lambda: values)])


faults = st.tuples(
    st.sampled_from(["equal", "signed zeros", "zero", "faint start", "faint", "loud row", "loud column", "nan"]),
    st.integers(0, ROWS - 1),
    st.integers(0, ROWS - 1),
)


def spoil(values, kind, first, second):
    if kind == "equal":
        values[first] = values[second]
    elif kind == "signed zeros":
        values[first, :3], values[second, :3] = 0.0, -0.0
        values[first, 3:] = values[second, 3:]
    elif kind == "zero":
        values[first] = 0
    elif kind == "faint start":
        values[first, : LENGTH + 4] *= 1e-6
    elif kind == "faint":
        values[first] *= 1e-6
    elif kind == "loud row":
        values[first] *= 100
    elif kind == "loud column":
        values[:, second] *= 100
    else:
        values[first, second] = np.nan


@given(
    faults=st.lists(faults, max_size=4),
    axis=st.sampled_from([0, 1]),
    width=st.sampled_from([20, 40, 100, 3000]),
    seed=st.integers(0, 3),
)
def test_no_finding_is_lost_by_looking_at_the_first_values_alone(path, faults, axis, width, seed):
    values = np.random.default_rng(seed).standard_normal((ROWS, max(width, ROWS))).astype(np.float32)
    for fault in faults:
        spoil(values, *fault)
    source = in_file(path, np.ascontiguousarray(values if axis == 0 else values.T), axis)
    codes = ["WS203", "WS204", "WS208", "WS216"]
    short, whole = (list(ws.check(what, select=codes)) for what in (source, in_memory(source)))
    assert [(item.code, item.evidence) for item in short] == [(item.code, item.evidence) for item in whole]


def test_a_file_is_checked_without_loading_what_only_runs_need(path):
    write_safetensors(path, {"fc.weight": np.ones((4, 4), np.float32)})
    code = "import sys, weightsmith as ws; ws.check(sys.argv[1]); print({'sqlalchemy', 'torch'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_sound_weights_are_proven_sound_without_measuring_their_rows(path, monkeypatch):
    values = np.random.default_rng(0).standard_normal((64, 96)).astype(np.float32)
    subject = Subject(in_file(path, values, 0))
    (weight,) = subject.require_weights().values()
    seen = starts(subject, weight)
    assert seen.differ
    assert seen.least == pytest.approx((values[:, :LENGTH].astype(np.float64) ** 2).sum(axis=1).min())
    monkeypatch.setattr(Subject, "rows", lambda *_: pytest.fail("measured all rows"))
    for code in ("WS204", "WS208", "WS216"):
        assert not list(RULES[code].look(RULES[code], subject))
