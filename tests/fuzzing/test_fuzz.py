"""Every reader on damaged files: a source or one line, in time, within memory, and nothing is run.

A bounded number of cases; `python benchmarks/fuzz.py --all` tries many more, guided by coverage.
"""

import tracemalloc
from random import Random

import pytest
from fuzz_judge import judge
from fuzz_mutations import mutate
from fuzz_seeds import TARGETS, seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MEMORY = 200 << 20
"""Bytes that a small file may make a reader allocate."""


@pytest.mark.parametrize("name", TARGETS)
def test_valid_files_open(name, scratch):
    target = TARGETS[name]
    opened = []
    for seed in seeds(name):
        path = scratch / target.file
        path.write_bytes(seed)
        opened.append(judge(target.opener, path) is None)
    assert any(opened) or name == "sharded"


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(which=st.integers(0, 1 << 16), seed=st.integers(0, 2**63))
def test_damaged_files_are_read_or_refused_in_one_line(name, scratch, which, seed):
    target, known, random = TARGETS[name], seeds(name), Random(seed)
    path = scratch / target.file
    path.write_bytes(mutate(known[which % len(known)], random, known))
    judge(target.opener, path)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_take_little_memory(name, scratch):
    target, known = TARGETS[name], seeds(name)
    path = scratch / target.file
    for seed in range(40):
        path.write_bytes(mutate(known[seed % len(known)], Random(seed), known))
        tracemalloc.start()
        judge(target.opener, path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MEMORY, f"seed {seed}: {peak >> 20} MB"
