import builtins
import gzip
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError, MissingExtraError, SourceError
from weightsmith.train.data import load_data
from weightsmith.train.data.table import read_table
from weightsmith.train.recipe import Recipe

ROWS = 40


def table(**changes):
    columns = {
        "size": [str(number) for number in range(ROWS)],
        "color": ["red", "green", "blue", "red"] * 10,
        "price": [f"{number * 1.5}" for number in range(ROWS)],
    }
    return columns | changes


def csv(columns, separator=","):
    lines = [separator.join(columns)] + [separator.join(row) for row in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"


def write(folder, columns, name="rows.csv", separator=","):
    path = folder / name
    content = csv(columns, separator).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


def load(path, **options):
    return load_data(Recipe(data={"path": path, "target": "price", **options}))


@pytest.mark.parametrize(
    ("name", "separator"),
    [("x.csv", ","), ("x.csv", ";"), ("x.csv", "|"), ("x.tsv", "\t"), ("x.csv.gz", ","), ("X.CSV", ",")],
)
def test_numbers_and_categories_become_features(tmp_path, name, separator):
    data = load(write(tmp_path, table(), name, separator), standardize=False)
    assert (data.task, data.input_shape, data.outputs) == ("regression", (4,), 1)
    assert data.feature_names == ["size", "color=blue", "color=green", "color=red"]
    inputs, targets = data.train.batch(torch.arange(len(data.train)))
    assert inputs[:, 0].tolist() == data.train.ids.tolist()
    assert (inputs[:, 1:].sum(1) == 1).all()
    assert (inputs[:, 3].numpy() == (data.train.ids.numpy() % 4 % 3 == 0)).all()
    np.testing.assert_allclose(targets[:, 0], data.train.ids * 1.5)


def test_classes_by_name_quotes_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "x.csv"
    rows = [f'{number},"{"yes, sir" if number % 2 else "no"}"' for number in range(ROWS)]
    path.write_text("\ufeff" + "\r\n".join(["a,price", *rows, ""]), encoding="utf-8")
    data = load(str(path))
    assert (data.task, data.class_names, data.feature_names) == ("binary_classification", ["no", "yes, sir"], ["a"])


def test_columns_can_be_left_out(tmp_path):
    columns = table(name=[f"person {number}" for number in range(ROWS)] * 1, id_x=["7"] * ROWS)
    path = write(tmp_path, columns | {"name": [f"person {number}" for number in range(ROWS)]})
    assert load(path, exclude=["name", "id_*", "color"]).feature_names == ["size"]
    with pytest.raises(SourceError, match="has no column beside the target 'price'"):
        load(path, exclude="*")


def test_missing_values(tmp_path):
    missing = ["", "NA", "nan", "?"]
    columns = table()
    columns["size"] = missing + columns["size"][4:]
    columns["color"] = ["null", *columns["color"][1:]]
    path = write(tmp_path, columns)
    with pytest.raises(SourceError, match=r"row 1 of column 'size' is missing .* such values"):
        load(path)
    data = load(path, missing="impute", standardize=False)
    train = {int(row): values for row, values in zip(data.train.ids, data.train.inputs, strict=True)}
    present = [row for row in train if row >= 4]
    for part in (data.train, data.validation, data.test):
        for row, values in zip(part.ids.tolist(), part.inputs, strict=True):
            assert values[0] == (np.median(present) if row < 4 else row)
            assert values[1:].sum() == (0 if row == 0 else 1)


def replaced(column, row, value):
    return {column: [value if place == row else cell for place, cell in enumerate(table()[column])]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("size,price\n", "has a header but no rows"),
        ("1,2\n3,4\n", "the first line holds numbers: put the names of the columns there"),
        ("a,a,price\n1,2,3\n", "two columns are called 'a'"),
        ("a,price\n1,2\n3\n", "row 2 has 1 cells, but the header has 2"),
        ('a,price\n1,"2\n', "not a table: unexpected end of data"),
        (b"a,price\n\xff,2\n", "not UTF-8 text"),
        (csv(table(**replaced("price", 3, ""))), "row 4 of the target 'price' is missing (1 such rows)"),
        (csv(table(**replaced("size", 7, "12a"))), "row 8 of column 'size' is not a number but '12a' (1 such cells)"),
        (csv(table(**replaced("size", 7, "1_2"))), "row 8 of column 'size' is not a number but '1_2'"),
        (csv(table(**replaced("size", 7, "inf"))), "row 8 of column 'size' is infinite"),
        (csv(table(color=[f"c{number}" for number in range(ROWS)])), ""),
        (
            csv({name: cells * 2 for name, cells in table().items()} | {"color": [f"c{n}" for n in range(2 * ROWS)]}),
            "column 'color' holds text with 80 different values, more than 50: leave it out with data.exclude",
        ),
    ],
)
def test_a_malformed_table_gets_one_line(tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if not message:
        assert load(str(path)).input_shape[0] > 4
        return
    with pytest.raises(SourceError) as caught:
        load(str(path))
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_truncated_gzip_file(tmp_path):
    path = tmp_path / "x.csv.gz"
    random = np.random.default_rng(0).normal(size=500)
    path.write_bytes(gzip.compress("\n".join(["a", *map(str, random)]).encode())[:-50])
    with pytest.raises(SourceError, match="cannot be read"):
        load(str(path))


def test_a_pattern_that_excludes_nothing_is_a_mistake(tmp_path):
    path = write(tmp_path, table())
    with pytest.raises(InputError, match=r"data.exclude: 'colour' is no column of .*; did you mean 'color'\?"):
        load(path, exclude=["size", "colour"])


def test_the_target_is_named(tmp_path):
    path = write(tmp_path, table())
    with pytest.raises(
        InputError, match=r"data.target: .*rows.csv has no column 'prize': choose from size, color, price; did you mean"
    ):
        load(path, target="prize")
    with pytest.raises(InputError, match=r"data.target: name the column of .* to predict: one of size, color, price"):
        load(path, target=None)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=20))
def test_numbers_survive_exactly(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("table") / "x.csv"
    path.write_text("\n".join(["a,b", *(f"{number!r},{number!r}" for number in numbers)]))
    raw = read_table(path, "b", [])
    assert raw.inputs[:, 0].tolist() == numbers
    assert raw.targets.tolist() == numbers


def test_parquet_as_the_same_table_in_csv(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "size": pa.array(range(ROWS), pa.int32()),
        "color": pa.array(["red", "green", "blue", "red"] * 10).dictionary_encode(),
        "price": pa.array([number * 1.5 for number in range(ROWS)]),
    }
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table(columns), path)
    found, expected = load(str(path)), load(write(tmp_path, table()))
    assert found.feature_names == expected.feature_names
    assert torch.equal(found.train.inputs, expected.train.inputs)
    assert torch.equal(found.test.targets, expected.test.targets)


def test_parquet_with_nulls_flags_dates_and_damage(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    prices = [number * 1.5 for number in range(ROWS)]
    columns = {"flag": [None, *([True, False] * 20)[1:]], "size": [1.0, None, *prices[2:]], "price": prices}
    parquet.write_table(pa.table(columns), path)
    raw = read_table(path, "price", [])
    assert raw.levels == {0: ["False", "True"]}
    assert math.isnan(raw.inputs[0, 0])
    assert math.isnan(raw.inputs[1, 1])
    parquet.write_table(pa.table({"when": pa.array([0] * ROWS, pa.date32()), "price": prices}), path)
    with pytest.raises(
        SourceError, match=r"column 'when' is of type date32\[day\], neither numbers nor text: leave it"
    ):
        load(str(path))
    parquet.write_table(pa.table({"price": pa.array([], pa.float64())}), path)
    with pytest.raises(SourceError, match="has columns but no rows"):
        load(str(path))
    path.write_bytes(b"PAR1junk")
    with pytest.raises(SourceError, match="not a Parquet file"):
        load(str(path))


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'weightsmith\[tables\]'"):
        load(str(path))
