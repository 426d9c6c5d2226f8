import csv
import io
import json
import os
import re

import numpy as np
import pytest

import weightsmith.sources as sources
from weightsmith.cli.scan_table import _cells, _shortened, _warning, format_value, quantity
from weightsmith.scan import scan
from weightsmith.scan.table import COLUMNS, RANKS, rows
from weightsmith.sources import write_safetensors

LONG = "model.decoder.layers.11.a_very_long_name_of_a_module.attention.projection.weight"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "model.safetensors"
    random = np.random.default_rng(0)
    broken = random.standard_normal(50).astype(np.float32)
    broken[7] = np.nan
    write_safetensors(
        path,
        {
            "encoder.0.weight": random.standard_normal((30, 20)).astype(np.float32),
            "encoder.0.bias": np.zeros(30, np.float16),
            LONG: (random.standard_normal((40, 10)) * 1e-7).astype(np.float32),
            "head.bias": broken,
            "bad\x1b[31m.weight": np.ones((3, 3), np.float32),
            "ids": np.array(7),
        },
    )
    return path


@pytest.mark.parametrize("columns", ["80", "140", "200"])
def test_the_table_fits_the_terminal(weightsmith, monkeypatch, file, columns):
    monkeypatch.setenv("COLUMNS", columns)
    found = weightsmith("scan", file)
    assert found.code == 0
    lines = found.out.splitlines()
    header = next(line for line in lines if line.startswith("name"))
    table = lines[lines.index(header) : lines.index(header) + 7]
    assert all(len(line) <= int(columns) for line in table)
    assert len({len(line.split()) for line in table[:2]}) == 1
    for column in ("shape", "std", "min", "max"):
        assert column in header.split()
    assert ("kurtosis" in header.split()) == (columns != "80")
    assert "\x1b" not in found.out
    assert "1 NaN" in found.out


def test_the_wider_the_terminal_the_more_columns(weightsmith, monkeypatch, file):
    seen = []
    for columns in range(60, 240, 20):
        monkeypatch.setenv("COLUMNS", str(columns))
        header = next(line for line in weightsmith("scan", file).out.splitlines() if line.startswith("name"))
        seen.append(len(header.split()))
    assert seen == sorted(seen)
    assert seen[0] < seen[-1]


def test_long_names_lose_their_middle(weightsmith, monkeypatch, file):
    monkeypatch.setenv("COLUMNS", "80")
    out = weightsmith("scan", file).out
    assert re.search(r"^model\.\S*…\S*projection\.weight ", out, re.MULTILINE)
    assert LONG in weightsmith("scan", file, "--columns", "name,std").out


def test_json_is_the_whole_table(weightsmith, file):
    found = json.loads(weightsmith("scan", file, "--json").out)
    assert (found["file"], found["format"]) == (str(file), "safetensors")
    expected = rows(scan(sources.open(file)).summaries)
    assert found["tensors"] == json.loads(json.dumps(expected))
    assert tuple(found["tensors"][0]) == COLUMNS
    assert found["totals"]["elements"] == 30 * 20 + 30 + 400 + 50 + 9 + 1
    assert found["aside"] == []
    assert "layers" not in found
    layers = json.loads(weightsmith("scan", file, "--json", "--layers").out)["layers"]
    assert {layer["name"] for layer in layers} == {
        "encoder.0",
        LONG.removesuffix(".weight"),
        "head",
        "bad\x1b[31m",
        "ids",
    }


def test_rows_are_chosen_and_ordered(weightsmith, file):
    arguments = ("--where", "role == 'linear' and std < 2", "--sort", "std", "--descending", "--json")
    found = json.loads(weightsmith("scan", file, *arguments).out)["tensors"]
    assert [entry["name"] for entry in found] == ["encoder.0.weight", LONG, "bad\x1b[31m.weight"]
    out = weightsmith("scan", file, "--where", "nan > 0", "--columns", "name,nan").out
    assert out.splitlines()[1:] == ["name       nan", "head.bias    1"]


def test_layers_and_tree(weightsmith, file):
    layers = weightsmith("scan", file, "--layers", "--columns", "name,elements").out.splitlines()
    assert "encoder.0" in [line.split()[0] for line in layers]
    assert next(line for line in layers if line.startswith("encoder.0")).split()[1] == "630"
    tree = weightsmith("scan", file, "--tree").out
    assert re.search(r"^encoder +2 +630 ", tree, re.MULTILINE)
    assert re.search(r"^  0 +2 +630 ", tree, re.MULTILINE)
    assert re.search(r"^head .*1 NaN or Inf$", tree, re.MULTILINE)
    assert "\x1b" not in tree


def test_the_tree_holds_what_was_asked_for(weightsmith, file):
    tree = weightsmith("scan", file, "--tree", "--where", "role == 'bias'").out
    assert re.search(r"^all +2 +80 ", tree, re.MULTILINE)
    assert "weight" not in tree.split("zeros")[1]
    modules = json.loads(weightsmith("scan", file, "--tree", "--json").out)["modules"]
    assert {name: modules[2][name] for name in ("path", "weights", "elements")} == {
        "path": ["encoder", "0"],
        "weights": 2,
        "elements": 630,
    }


def test_the_weights_are_never_overwritten_by_a_table(weightsmith, file, tmp_path):
    before = file.read_bytes()
    (tmp_path / "link").symlink_to(file)
    for arguments in (("--csv", file), ("--parquet", file), ("--csv", tmp_path / "link")):
        found = weightsmith("scan", file, *arguments)
        assert found.code == 2
        assert "holds the weights themselves" in found.err
    assert file.read_bytes() == before
    same = weightsmith("scan", file, "--csv", tmp_path / "t", "--parquet", tmp_path / "t")
    assert "would both write" in same.err


def test_warnings_are_yellow_unless_colors_are_unwanted(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert _warning("1 NaN") == "\x1b[33m1 NaN\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert _warning("1 NaN") == "1 NaN"


def test_ranks_on_request(weightsmith, file):
    found = json.loads(weightsmith("scan", file, "--rank", "--json").out)["tensors"]
    by_name = {entry["name"]: entry for entry in found}
    assert by_name["encoder.0.weight"]["rank"] == 20
    matrix = np.asarray(sources.open(file)["encoder.0.weight"].read(), np.float64)
    expected = (matrix**2).sum() / np.linalg.norm(matrix, 2) ** 2
    assert by_name["encoder.0.weight"]["stable_rank"] == pytest.approx(expected, rel=1e-5)
    assert by_name["head.bias"]["rank"] is None
    assert {"rank", "stable_rank"} <= set(weightsmith("scan", file, "--rank").out.splitlines()[1].split())
    assert weightsmith("scan", file, "--rank", "--where", "rank < 2", "--columns", "name,rank").code == 0
    assert weightsmith("scan", file, "--rank", "--where", "rank < 2", "--layers", "--json").code == 0


def test_tables_are_written(weightsmith, file, tmp_path):
    assert weightsmith("scan", file, "--csv", tmp_path / "t.csv", "--where", "ndim == 2").code == 0
    read = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert len(read) == 3
    assert tuple(read[0]) == COLUMNS
    parquet = pytest.importorskip("pyarrow.parquet")
    assert weightsmith("scan", file, "--parquet", tmp_path / "t.parquet", "--rank").code == 0
    assert tuple(parquet.read_schema(tmp_path / "t.parquet").names) == (*COLUMNS, *RANKS)


def test_a_second_scan_is_cached_unless_told_otherwise(weightsmith, file):
    os.utime(file, (1, 1))
    assert not json.loads(weightsmith("scan", file, "--json", "--no-cache").out)["cached"]
    first, second = (json.loads(weightsmith("scan", file, "--json").out) for _ in range(2))
    assert (first.pop("cached"), second.pop("cached")) == (False, True)
    assert first == second


def test_a_cache_that_cannot_be_kept_is_one_warning(weightsmith, file, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "cache").write_text("not a folder")
    found = weightsmith("scan", file)
    assert found.code == 0
    assert found.err.startswith("warning: not cached: ")
    assert len(found.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--where", "stdd > 1"), "did you mean 'std'"),
        (("--sort", "kurtosiss"), "did you mean 'kurtosis'"),
        (("--columns", "name,nme"), "did you mean 'name'"),
        (("--sort", "rank"), "needs --rank"),
        (("--executor", "thread"), "did you mean 'threads'"),
        (("--csv", "/nowhere/at/all.csv"), "cannot write"),
        (("--where", "name > 1"), "texts and numbers"),
        (("--tree", "--layers"), "leave one out"),
        (("--tree", "--sort", "std"), "--sort is for tables"),
        (("--layers", "--rank"), "leave out --layers"),
    ],
)
def test_mistakes_are_one_line(weightsmith, file, arguments, message):
    found = weightsmith("scan", file, *arguments)
    assert found.code == 2
    assert message in found.err
    assert len(found.err.splitlines()) == 1


def test_a_file_that_is_not_there(weightsmith, tmp_path):
    found = weightsmith("scan", tmp_path / "none.safetensors")
    assert found.code == 2
    assert len(found.err.splitlines()) == 1


def test_a_run_is_scanned(weightsmith, trained):
    found = json.loads(weightsmith("scan", "latest", "--store", trained, "--json").out)
    assert len(found["tensors"]) == 4
    assert {entry["role"] for entry in found["tensors"]} == {"linear", "bias"}


def test_a_real_file(weightsmith, shared):
    found = weightsmith("scan", shared / "weights/silero_vad/silero_vad_16k.safetensors")
    assert "15 weights, 310K values, 1.24MB, float32, safetensors" in found.out


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("std", 0.123456, "0.123"),
        ("std", 1.23e-7, "1.23e-7"),
        ("std", 0.0, "0"),
        ("std", 12345.6, "1.23e4"),
        ("bits", 29, "29"),
        ("sparsity", 0.99999, "99.99%"),
        ("sparsity", 1.0, "100%"),
        ("outliers", 2e-9, "2e-7%"),
        ("elements", 23_834_567, "23.8M"),
        ("shape", [3, 4], "3x4"),
        ("shape", [], "scalar"),
        ("kurtosis", None, "-"),
        ("tied_to", None, ""),
    ],
)
def test_values_are_short_and_right(column, value, shown):
    assert format_value(column, value) == shown


def test_quantities_take_at_most_five_characters():
    assert [quantity(n) for n in (0, 999, 1000, 999_499, 999_500, 10**12)] == ["0", "999", "1K", "999K", "1M", "1T"]
    assert max(len(quantity(int(1.7**i))) for i in range(70)) <= 5


def test_names_are_shortened_to_the_width():
    assert _shortened("abcdefghij", 7) == "ab…ghij"
    assert _shortened("abc", 3) == "abc"


def test_wide_and_combining_characters_take_the_columns_that_they_take():
    assert _cells("層a") == 3
    assert _cells("e\u0301") == 1
    assert _shortened("日本語の層", 7) == "日…の層"
    assert all(_cells(_shortened("a日本語b層", size)) <= size for size in range(1, 12))
