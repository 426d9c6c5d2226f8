import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from weightsmith.train.data.partition import partition

SHARES = st.floats(0.0, 0.45)
SEEDS = st.integers(0, 2**32 - 1)


@given(st.integers(3, 300), SHARES, SHARES, SEEDS, st.booleans(), st.data())
def test_parts_are_disjoint_complete_and_of_the_size_asked_for(rows, validation, test, seed, stratified, data):
    classes = np.array(data.draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows))) if stratified else None
    parts = partition(rows, (validation, test), seed, classes)
    assert sorted(np.concatenate(parts)) == list(range(rows))
    for part, share in zip(parts[1:], (validation, test), strict=True):
        assert len(part) == (max(1, round(share * rows)) if share else 0)
        assert list(part) == sorted(part)


@given(st.lists(st.integers(5, 60), min_size=2, max_size=6), SHARES, SHARES, SEEDS)
def test_classes_keep_their_proportions_to_within_a_row(sizes, validation, test, seed):
    classes = np.repeat(np.arange(len(sizes)), sizes)
    rows = len(classes)
    parts = partition(rows, (validation, test), seed, classes)
    # Each class keeps a row for training; where it keeps little more, that row outweighs proportion.
    assume(len(parts[0]) >= 2 * len(sizes))
    for number, size in enumerate(sizes):
        held_out = len(classes) - len(parts[0])
        assert abs((classes[parts[2]] == number).sum() - size * len(parts[2]) / rows) <= 2
        outside = (classes[np.concatenate(parts[1:])] == number).sum()
        assert abs(outside - size * held_out / rows) <= 2
        assert (classes[parts[0]] == number).any()


@given(SEEDS)
def test_a_class_of_one_row_is_trained_on(seed):
    classes = np.array([0] * 30 + [1])
    train, _, _ = partition(31, (0.3, 0.3), seed, classes)
    assert 30 in train


@given(st.integers(20, 200), SEEDS, st.floats(0.05, 0.4))
def test_the_test_rows_do_not_depend_on_the_validation_share(rows, seed, share):
    classes = np.arange(rows) % 3
    assert np.array_equal(
        partition(rows, (0.1, 0.2), seed, classes)[2], partition(rows, (share, 0.2), seed, classes)[2]
    )


def test_the_seed_decides_and_nothing_else_that_is_random():
    first = partition(100, (0.2, 0.2), 7)
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the state that must not matter
    again = partition(100, (0.2, 0.2), 7)
    other = partition(100, (0.2, 0.2), 8)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))
