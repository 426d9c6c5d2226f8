"""Every reader on damaged files: a source or one line, in time, within memory, and nothing is run.

A bounded number of cases; `python benchmarks/fuzz.py --all` tries many more, guided by coverage.
"""

import os
import tracemalloc
from random import Random

import pytest
from fuzz_judge import judge
from fuzz_mutations import mutate
from fuzz_seeds import TARGETS, lay, seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MEMORY = 200 << 20
"""Bytes that a small file may make a reader allocate."""


@pytest.mark.parametrize("name", TARGETS)
def test_valid_files_open(name, scratch):
    target = TARGETS[name]
    opened = []
    for seed in seeds(name):
        path = lay(name, scratch)
        path.write_bytes(seed)
        opened.append(judge(target.opener, path) is None)
    assert any(opened)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(which=st.integers(0, 1 << 16), seed=st.integers(0, 2**63))
def test_damaged_files_are_read_or_refused_in_one_line(name, scratch, which, seed):
    target, known, random = TARGETS[name], seeds(name), Random(seed)
    path = lay(name, scratch)
    path.write_bytes(mutate(known[which % len(known)], random, known))
    judge(target.opener, path)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_take_little_memory(name, scratch):
    target, known = TARGETS[name], seeds(name)
    path = lay(name, scratch)
    for seed in range(40):
        path.write_bytes(mutate(known[seed % len(known)], Random(seed), known))
        tracemalloc.start()
        judge(target.opener, path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MEMORY, f"seed {seed}: {peak >> 20} MB"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("name", TARGETS)
def test_files_that_become_shorter_once_they_are_open(name, share, scratch):
    def open_and_cut(path):
        source = target.opener(path)
        os.truncate(path, int(len(seed) * share))
        return source

    target, path = TARGETS[name], lay(name, scratch)
    for seed in seeds(name):
        path.write_bytes(seed)
        judge(open_and_cut, path, watched=False)
