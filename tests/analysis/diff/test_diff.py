import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import weightsmith as ws
from weightsmith.analysis.diff import diff
from weightsmith.errors import SourceError
from weightsmith.sources import Source, Weight, open_safetensors, write_safetensors
from weightsmith.weight import WeightInfo

SIZES = {"embed.weight": (120, 64), "a.weight": (96, 64), "a.bias": (96,), "b.weight": (64, 96), "norm.weight": (64,)}


def network(seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.05, shape).astype(np.float32) for name, shape in SIZES.items()}


@pytest.fixture
def compared(tmp_path):
    """What `diff` says of two dictionaries of arrays, each written to a file."""

    def compare(before, after):
        for name, tensors in (("before", before), ("after", after)):
            write_safetensors(tmp_path / f"{name}.safetensors", tensors)
        return diff(*(open_safetensors(tmp_path / f"{name}.safetensors") for name in ("before", "after")))

    return compare


def relations(found):
    return {change.before.name: change.relation for change in found.changes}


def test_the_same_file_twice(compared):
    found = compared(network(), network())
    assert found.same
    assert found.verdict == "The same weights: all 5 are equal to the last bit."
    assert {change.cosine for change in found.changes} == {1.0}


def test_measures_are_those_of_numpy(compared):
    before, after = network(), network()
    after["a.weight"][7] *= -1
    after["a.weight"][3] += 0.01
    found = {change.after.name: change for change in compared(before, after).changes}["a.weight"]
    old, new = before["a.weight"].astype(float), after["a.weight"].astype(float)
    assert found.relation == "changed"
    assert found.relative == pytest.approx(np.linalg.norm(new - old) / np.linalg.norm(old))
    assert found.cosine == pytest.approx(np.sum(old * new) / np.linalg.norm(old) / np.linalg.norm(new))
    assert found.differing == pytest.approx(2 / 96)
    assert found.sign_flips == pytest.approx(np.mean(np.sign(old) != np.sign(new)))
    assert [row.row for row in found.top_rows] == [7, 3]
    assert found.top_rows[0].relative == pytest.approx(2)
    assert found.top_rows[1].change == pytest.approx(np.linalg.norm((new - old)[3]))
    assert found.rank is not None
    assert found.rank.rank == 2


def test_conversion_is_told_from_training(compared):
    before = network()
    half = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in before.items()}
    found = compared(before, half)
    assert set(relations(found).values()) == {"converted"}
    assert found.verdict.startswith("A conversion from float32 to bfloat16: in 5 weights")
    assert not found.same
    wider = compared(half, {name: tensor.astype(np.float32) for name, tensor in half.items()})
    assert set(relations(wider).values()) == {"converted"}
    assert all(change.relative == 0 for change in wider.changes)
    half["a.weight"] = (before["a.weight"] * np.float32(1.02)).astype(ml_dtypes.bfloat16)
    assert relations(compared(before, half))["a.weight"] == "changed"


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float16])
def test_a_low_rank_update_is_seen_through_rounding(compared, dtype):
    rng = np.random.default_rng(1)
    before = {"q.weight": rng.normal(0, 0.05, (300, 256)).astype(dtype), "rest": rng.normal(size=9).astype(dtype)}
    update = 0.01 * rng.normal(size=(300, 4)) @ rng.normal(size=(4, 256))
    after = {**before, "q.weight": (before["q.weight"].astype(float) + update).astype(dtype)}
    found = compared(before, after)
    assert found.changes[0].rank is not None
    assert (found.changes[0].rank.rank, found.changes[0].rank.low) == (4, True)
    assert "low-rank update, as LoRA makes: 1 of 2 weights changed by matrices of rank 4" in found.verdict


def test_a_full_rank_update_is_not_called_low(compared):
    before, after = network(), network()
    noise = np.random.default_rng(2)
    for name in after:
        after[name] = after[name] + noise.normal(0, 0.001, after[name].shape).astype(np.float32)
    found = compared(before, after)
    assert not any(change.rank.low for change in found.changes if change.rank)
    assert found.verdict.startswith("Tuned further: 5 of 5 weights changed, by 2.0")


@pytest.mark.parametrize("rank", [1, 15, 16, 17, 63, 64])
def test_the_rank_of_a_change_is_that_of_numpy(compared, rank):
    rng = np.random.default_rng(rank)
    before = {"w": rng.normal(0, 0.05, (64, 96)).astype(np.float64)}
    after = {"w": before["w"] + rng.normal(size=(64, rank)) @ rng.normal(size=(rank, 96))}
    found = compared(before, after).changes[0].rank
    assert found.rank == np.linalg.matrix_rank(after["w"] - before["w"]) == rank
    assert found.energy == pytest.approx(1.0)
    assert found.low == (rank <= 16)


def test_pruning(compared):
    before, after = network(), network()
    after["a.weight"][abs(after["a.weight"]) < 0.03] = 0
    found = compared(before, after)
    assert relations(found)["a.weight"] == "pruned"
    assert found.verdict.startswith("Pruned: in 1 of 5 weights")


def test_neurons_in_another_order_are_reordered_not_new(compared):
    before, after = network(), network()
    order = np.random.default_rng(3).permutation(96)
    after["a.weight"], after["a.bias"] = after["a.weight"][order], after["a.bias"][order]
    after["b.weight"] = after["b.weight"][:, order]
    found = compared(before, after)
    reordered = {name for name, relation in relations(found).items() if relation == "reordered"}
    assert reordered == {"a.weight", "a.bias", "b.weight"}
    assert "another arrangement: of 5 weights 3 reordered, 2 equal" in found.verdict
    both = network()
    both["b.weight"] = both["b.weight"][np.random.default_rng(4).permutation(64)][:, order]
    change = next(change for change in compared(network(), both).changes if change.before.name == "b.weight")
    assert change.relation == "reordered"
    assert "rows and" in (change.reason or "")


def test_neurons_reordered_and_then_trained(compared):
    before, after = network(), network()
    rng = np.random.default_rng(5)
    moved = after["a.weight"][rng.permutation(96)]
    after["a.weight"] = (moved + rng.normal(0, 0.005, moved.shape)).astype(np.float32)
    change = next(change for change in compared(before, after).changes if change.before.name == "a.weight")
    assert change.relation == "reordered"
    assert "a cosine of 0.99" in (change.reason or "")


def test_other_axes(compared):
    before = {"conv": np.random.default_rng(0).normal(size=(8, 3, 5, 5)).astype(np.float32), **network()}
    after = {name: np.ascontiguousarray(tensor.T) if tensor.ndim == 2 else tensor for name, tensor in before.items()}
    after["conv"] = np.ascontiguousarray(before["conv"].transpose(2, 3, 1, 0))
    found = relations(compared(before, after))
    assert {name for name, relation in found.items() if relation == "transposed"} == {
        "conv",
        "embed.weight",
        "a.weight",
        "b.weight",
    }


def test_other_names(compared):
    before = network()
    found = compared(before, {f"model.{name}": tensor for name, tensor in before.items()})
    assert not found.added
    assert not found.removed
    assert all(change.renamed for change in found.changes)
    tuned = {f"module.{name}": (tensor * 1.01).astype(np.float32) for name, tensor in before.items()}
    found = compared(before, tuned)
    assert {change.matched for change in found.changes} == {"name without its prefix"}
    assert {change.after.name.removeprefix("module.") for change in found.changes} == set(before)
    arranged = {f"t{i}": np.ascontiguousarray(tensor.T) for i, tensor in enumerate(before.values())}
    found = compared(before, arranged)
    assert len(found.changes) == 5
    assert {change.after.name: change.before.name for change in found.changes} == dict(
        zip(arranged, before, strict=True)
    )


def test_added_removed_and_resized(compared):
    before, after = network(), network()
    after["head.weight"] = np.ones((3, 64), np.float32)
    after.pop("norm.weight")
    after["embed.weight"] = np.concatenate([after["embed.weight"], np.zeros((8, 64), np.float32)])
    found = compared(before, after)
    assert [info.name for info in found.added] == ["head.weight"]
    assert [info.name for info in found.removed] == ["norm.weight"]
    resized = next(change for change in found.changes if change.before.name == "embed.weight")
    assert resized.reshaped
    assert resized.reason == "8 rows added; the first 120 compared"
    assert resized.differing == 0
    assert "1 removed and 1 added." in found.verdict
    assert "The same weights" not in found.verdict
    assert "1 has another shape (embed.weight: [120, 64] became [128, 64])" in found.verdict


def test_a_larger_vocabulary_alone_is_not_the_same_weights(compared):
    before, after = network(), network()
    after["embed.weight"] = np.concatenate([after["embed.weight"], np.ones((8, 64), np.float32)])
    found = compared(before, after)
    assert not found.same
    assert relations(found)["embed.weight"] == "reshaped"
    assert found.verdict.startswith(
        "Nothing was trained: the 5 weights that both have are equal to the last bit as far"
    )
    flat = compared(before, {**network(), "a.weight": before["a.weight"].reshape(-1)})
    assert not flat.same
    assert relations(flat)["a.weight"] == "reshaped"


def test_a_part_of_a_model_is_no_other_architecture(compared):
    part = {name: network()[name] for name in ("a.weight", "a.bias")}
    for found in (compared(network(), part), compared(part, network())):
        assert found.verdict.startswith("Nothing was trained: the 2 weights that both have are equal to the last bit.")
        assert found.verdict.endswith(("3 removed.", "3 added."))


@pytest.mark.parametrize("narrow", [np.float16, ml_dtypes.bfloat16])
def test_rounding_is_seen_in_the_type_that_it_was_stored_in_again(compared, narrow):
    before = network()
    after = {name: tensor.astype(narrow).astype(np.float32) for name, tensor in before.items()}
    found = compared(before, after)
    assert set(relations(found).values()) <= {"converted", "identical"}
    assert found.changes[0].through == np.dtype(narrow).name
    assert found.verdict.startswith(f"Rounded to {np.dtype(narrow).name} and stored as float32 again: in ")
    assert not found.same
    after["a.weight"][-1, -1] *= np.float32(1.5)
    assert relations(compared(before, after))["a.weight"] == "changed"


@pytest.mark.parametrize("axes", [(), (1,)])
def test_quantized_weights_are_no_training(compared, axes):
    before = network()
    matrix = before["a.weight"]
    scale = np.abs(matrix).max(axis=axes or None, keepdims=True) / 127
    after = {**before, "a.weight": np.round(matrix / scale).astype(np.int8), "a.scale": scale.astype(np.float32)}
    found = compared(before, after)
    assert relations(found)["a.weight"] == "quantized"
    assert found.verdict == "Quantized: 1 of 5 weights went from float32 to int8; 4 identical. 1 added."
    assert compared(after, before).verdict.startswith("Dequantized: 1 of 5 weights went from int8 to float32")


def test_values_that_became_nan_are_named_not_called_training(compared):
    after = network()
    after["a.weight"][3, 4] = np.nan
    found = compared(network(), after)
    verdict = "Only values that are not finite differ, in 1 of 5 weights. 1 holds NaN or Inf (a.weight)."
    assert found.verdict == verdict
    change = next(change for change in found.changes if change.relation == "changed")
    assert (change.non_finite, change.reason) == (1, "1 place holds NaN or Inf, left out of the sums")


def test_other_names_and_trained_on(compared):
    rng = np.random.default_rng(8)
    before = {f"layer.{i}.{part}": rng.normal(size=(40, 30)).astype(np.float32) for i in range(4) for part in "qk"}
    before |= {f"layer.{i}.bias": rng.normal(size=40).astype(np.float32) for i in range(4)}
    after = {
        name.replace("layer", "h").replace("q", "query"): (values + 0.02 * rng.normal(size=values.shape)).astype("f4")
        for name, values in reversed(before.items())
    }
    found = compared(before, after)
    assert {change.matched for change in found.changes} == {"similar values"}
    assert all(
        change.after.name == change.before.name.replace("layer", "h").replace("q", "query") for change in found.changes
    )
    assert len(found.changes) == 12
    assert found.verdict.startswith("Tuned further: 12 of 12 weights changed, by 1.9")


def test_a_permuted_network_that_was_trained_on_is_matched_neuron_by_neuron(compared):
    rng = np.random.default_rng(9)
    before, after = network(), network()
    order = rng.permutation(96)
    after["a.weight"], after["a.bias"] = after["a.weight"][order], after["a.bias"][order]
    after["b.weight"] = np.ascontiguousarray(after["b.weight"][:, order])
    steps = {name: (0.03 * values.std() * rng.normal(size=values.shape)).astype("f4") for name, values in after.items()}
    found = compared(before, {name: after[name] + steps[name] for name in after})
    moved = {change.before.name: change for change in found.changes if change.relation == "reordered"}
    assert set(moved) == {"a.weight", "a.bias", "b.weight"}
    for name, change in moved.items():
        relative = np.linalg.norm(steps[name]) / np.linalg.norm(before[name])
        assert change.relative == pytest.approx(relative, rel=1e-3)
        assert change.cosine == pytest.approx(1 - relative**2 / 2, abs=1e-3)
    assert "Tuned further: 5 of 5 weights changed" in found.verdict


def test_matrices_of_another_shape_in_a_file_of_blocks_are_compared(tmp_path):
    """A matrix and its transpose, neither of them square, one of which cannot be read by ranges."""
    values = np.random.default_rng(10).normal(size=(64, 48)).astype(np.float32)
    np.savez_compressed(tmp_path / "a.npz", w=values)
    np.savez_compressed(tmp_path / "b.npz", w=np.ascontiguousarray(values.T))
    found = diff(ws.open(tmp_path / "a.npz"), ws.open(tmp_path / "b.npz"))
    assert relations(found) == {"w": "transposed"}


def test_strangers(compared):
    assert "Another training of the same architecture" in compared(network(0), network(1)).verdict
    other = {f"x{i}": np.ones((i + 2, 3), np.float32) for i in range(9)}
    assert compared(network(), other).verdict == (
        "Different architectures: of 5 weights before and 9 after none have a counterpart."
    )
    assert compared({}, {}).verdict == "Both are empty."


def test_odd_values(compared):
    before = {
        "scalar": np.float32(2.0),
        "none": np.empty((0, 4), np.float32),
        "nan": np.array([np.nan, 1.0, np.inf, 4.0], np.float32),
        "int": np.array([2**40, 1], np.int64),
        "complex": np.array([1j], np.complex64),
        "zero": np.zeros(3, np.float32),
    }
    found = {change.before.name: change for change in compared(before, before).changes}
    assert found["nan"].relation == "identical"
    assert found["nan"].reason == "2 places hold NaN or Inf, left out of the sums"
    assert found["none"].relation == "identical"
    assert found["complex"].relation == "incomparable"
    assert found["complex"].reason == "complex64 values are not compared"
    changed = {**before, "zero": np.ones(3, np.float32), "int": np.array([2**40 + 1, 1], np.int64)}
    found = {change.before.name: change for change in compared(before, changed).changes}
    assert found["zero"].relative == np.inf
    assert found["int"].relation == "changed"


def test_weights_without_a_place_are_compared_block_by_block():
    values = np.random.default_rng(0).normal(size=(40, 70)).astype(np.float32)

    def source(cuts):
        info = WeightInfo("w", (40, 70), "float32", "linear")
        return Source("s", [Weight(info, values.nbytes, _blocks=lambda: iter(np.split(values.reshape(-1), cuts)))])

    assert diff(source([5, 800]), source([1000, 1001])).same


def test_one_unreadable_weight_does_not_spoil_the_rest():
    good = WeightInfo("good", (2,), "float32", "other")
    bad = WeightInfo("bad", (2,), "float4_e2m1fn", "other")

    def refuse():
        raise SourceError("'bad' is packed")

    source = Source("s", [Weight(good, 8, lambda: np.ones(2, np.float32)), Weight(bad, 1, refuse)])
    found = diff(source, source)
    assert relations(found) == {"good": "identical", "bad": "incomparable"}
    assert found.changes[1].reason == "'bad' is packed"


@settings(max_examples=40)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=st.floats(-9, 9, width=32)),
    st.randoms(use_true_random=False),
)
def test_any_order_of_rows_keeps_the_values(tensor, random):
    order = list(range(len(tensor)))
    random.shuffle(order)

    def source(values):
        return Source("s", [Weight(WeightInfo("w", values.shape, "float32", "linear"), values.nbytes, lambda: values)])

    relation = diff(source(tensor), source(tensor[order])).changes[0].relation
    same = np.array_equal(tensor, tensor[order])
    assert relation == "identical" if same else relation in ("reordered", "transposed")
