import csv
import json
import math

import ml_dtypes
import numpy as np
import pytest
from scipy import stats

import weightsmith.sources as sources
from weightsmith.errors import InputError, MissingExtraError
from weightsmith.scan import Scan, Summary, scan
from weightsmith.scan.export import write_csv, write_parquet
from weightsmith.scan.layers import layer_of, layers, modules, tree
from weightsmith.scan.table import (
    COLUMNS,
    DESCRIPTIONS,
    QUANTILES,
    RANKS,
    check_columns,
    ordered,
    outlier_share,
    row,
    rows,
    sum_of_magnitudes,
    totals,
)
from weightsmith.sketch import Sketch
from weightsmith.weight import WeightInfo


@pytest.fixture(scope="module")
def scanned(model):
    return scan(sources.open(model))


def test_every_statistic_is_numpys(scanned, arrays):
    for summary in scanned.summaries:
        found = row(summary)
        array = np.asarray(arrays[summary.name])
        values = array.astype(np.float64).reshape(-1)
        finite = values[np.isfinite(values)]
        assert (found["elements"], found["shape"], found["dtype"]) == (array.size, list(array.shape), array.dtype.name)
        assert found["bytes"] == array.nbytes
        assert found["nan"] == np.isnan(values).sum()
        assert found["inf"] == np.isinf(values).sum()
        assert found["zeros"] == (finite == 0).sum()
        if not finite.size:
            assert found["mean"] is None
            continue
        assert found["mean"] == pytest.approx(finite.mean(), rel=1e-9, abs=1e-12 * np.abs(finite).max())
        assert found["std"] == pytest.approx(finite.std(), rel=1e-9)
        assert (found["min"], found["max"]) == (finite.min(), finite.max())
        assert found["max_abs"] == np.abs(finite).max()
        assert found["l2"] == pytest.approx(np.linalg.norm(finite), rel=1e-9)
        assert found["l1"] == pytest.approx(np.abs(finite).sum(), rel=1 / 256)
        assert found["rms"] == pytest.approx(math.sqrt((finite**2).mean()), rel=1e-9)
        for name, share in QUANTILES.items():
            expected = np.quantile(finite, share, method="inverted_cdf")
            assert found[name] == pytest.approx(expected, rel=1 / 128, abs=1e-6 * found["max_abs"])
        if finite.std() > 0:
            assert found["kurtosis"] == pytest.approx(stats.kurtosis(finite), rel=0.02, abs=0.02)
            assert found["skewness"] == pytest.approx(stats.skew(finite), rel=0.02, abs=0.02)
            beyond = np.abs(finite - finite.mean()) > 6 * finite.std()
            assert found["outliers"] == pytest.approx(beyond.mean(), abs=1.5 / finite.size)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_outliers_are_counted_beyond_six_deviations(dtype):
    values = np.random.default_rng(0).standard_normal(10_000)
    values[:7] = [50, -50, 50, 50, -50, 60, 70]
    array = values.astype(dtype)
    assert outlier_share(Sketch.of(array)) == pytest.approx(7 / 10_000)
    assert outlier_share(Sketch.of(array[7:])) == 0
    assert math.isnan(outlier_share(Sketch.empty()))
    assert math.isnan(outlier_share(Sketch.of(np.array([1e300, -1e300, 1.0]))))


def test_sums_of_magnitudes_are_exact_for_exact_sketches():
    array = np.random.default_rng(0).standard_normal(1000).astype(ml_dtypes.bfloat16)
    assert sum_of_magnitudes(Sketch.of(array)) == pytest.approx(np.abs(array.astype(float)).sum(), rel=1e-12)
    assert sum_of_magnitudes(Sketch.empty()) == 0
    assert sum_of_magnitudes(Sketch.of(np.array([3.4e38, -3.4e38]))) == pytest.approx(6.8e38, rel=1 / 256)


def test_every_column_is_described():
    assert set(DESCRIPTIONS) == {*COLUMNS, *RANKS}
    for name in ("stdd", "rank"):
        with pytest.raises(InputError, match=r"did you mean 'std'|needs --rank"):
            check_columns([name])


def test_rows_are_ordered_with_what_has_no_value_last(scanned):
    table = rows(scanned.summaries, ("name", "kurtosis"))
    for descending in (False, True):
        found = [entry["kurtosis"] for entry in ordered(table, "kurtosis", descending=descending)]
        there = [value for value in found if value is not None]
        assert there == sorted(there, reverse=descending)
        assert found[len(there) :] == [None] * (len(found) - len(there))
        assert len(there) < len(found)


def test_totals_add_up(scanned, arrays):
    found = totals(scanned)
    assert found.tensors == len(arrays)
    assert found.elements == sum(array.size for array in arrays.values())
    assert found.bytes == sum(array.nbytes for array in arrays.values())
    assert next(iter(found.dtypes)) == "float32"


def test_layers_merge_their_weights(scanned, arrays):
    found = {entry["name"]: entry for entry in layers(scanned)}
    assert set(found) == {"embed", "encoder.0", "encoder.1", "encoder", "head"}
    members = [arrays[name].astype(np.float64).reshape(-1) for name in ("encoder.1.weight", "encoder.1.bias")]
    merged = np.concatenate(members)
    layer = found["encoder.1"]
    assert layer["elements"] == merged.size
    assert layer["std"] == pytest.approx(merged.std(), rel=1e-6)
    assert (layer["dtype"], layer["shape"]) == ("float32+float16", None)
    assert found["embed"]["shape"] == [arrays["embed.weight"].size]


@pytest.mark.parametrize(
    ("name", "expected"), [("a.b.c", "a.b"), ("a", "a"), ("a/b/kernel", "a/b"), (".x", ".x"), ("", "")]
)
def test_the_layer_of_a_name(name, expected):
    assert layer_of(name) == expected


def test_the_tree_has_subtotals(scanned, arrays):
    root = tree(scanned)
    assert root.elements == sum(array.size for array in arrays.values())
    encoder = root.children["encoder"]
    inside = [a.astype(float).reshape(-1) for name, a in arrays.items() if name.startswith("encoder.")]
    assert encoder.weights == 5
    assert encoder.norm == pytest.approx(np.sqrt(sum(np.nansum(a**2) for a in inside)))
    assert encoder.non_finite == 1
    assert encoder.zeros == sum((a == 0).sum() for a in inside)
    assert [depth for depth, _ in root.walk()][:3] == [0, 1, 2]


def named(*names):
    return Scan("named", "", tuple(Summary(WeightInfo(name, (2,), "float32", "other"), 8) for name in names))


def test_slashes_make_modules_as_dots_do():
    root = tree(named("a/b/kernel", "a/b/bias", "a.c", "x;y/z/w"))
    assert list(root.children) == ["a", "x;y/z/w"]
    assert list(root.children["a"].children) == ["b", "c"]
    assert root.children["a"].children["b"].weights == 2


def test_modules_as_rows_have_paths():
    found = modules(tree(named("a.b.w", "a.b.v", "a.c", "d.w")))
    assert [(entry["path"], entry["weights"]) for entry in found] == [([], 4), (["a"], 3), (["a", "b"], 2), (["d"], 1)]
    assert all(entry["bytes"] == 8 * entry["weights"] for entry in found)


def test_deep_names_do_not_exhaust_the_stack():
    info = WeightInfo("a." * 5000 + "b", (1,), "float32", "other")
    root = tree(Scan("deep", "", (Summary(info, 4, reason="none"),)))
    assert sum(1 for _ in root.walk()) == 5002
    assert root.unread == 1


def test_csv_and_parquet_hold_the_table(scanned, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = rows(scanned.summaries)
    write_csv(tmp_path / "t.csv", table, COLUMNS)
    write_parquet(tmp_path / "t.parquet", table, COLUMNS)
    with (tmp_path / "t.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert tuple(read[0]) == COLUMNS
    for given, found in zip(table, read, strict=True):
        assert found["name"] == given["name"]
        assert json.loads(found["shape"]) == given["shape"]
        assert (float(found["std"]) if found["std"] else None) == given["std"]
    assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == table
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.parquet"]


def test_tables_without_values_keep_their_schema(scanned, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = (*COLUMNS, *RANKS)
    write_parquet(tmp_path / "none.parquet", [], columns)
    write_parquet(tmp_path / "some.parquet", [{**dict.fromkeys(RANKS), **row(scanned.summaries[0])}], columns)
    assert parquet.read_schema(tmp_path / "none.parquet").equals(parquet.read_schema(tmp_path / "some.parquet"))


def test_files_are_written_whole_or_not_at_all(scanned, tmp_path):
    (tmp_path / "old.csv").write_text("old")
    with pytest.raises(KeyError):
        write_csv(tmp_path / "old.csv", rows(scanned.summaries, ("name",)), COLUMNS)
    assert [p.name for p in tmp_path.iterdir()] == ["old.csv"]
    assert (tmp_path / "old.csv").read_text() == "old"
    with pytest.raises(InputError, match=r"cannot write .*none") as caught:
        write_csv(tmp_path / "none" / "t.csv", [], COLUMNS)
    assert "\n" not in str(caught.value)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"weightsmith\[tables\]"):
        write_parquet(tmp_path / "t.parquet", [], COLUMNS)
