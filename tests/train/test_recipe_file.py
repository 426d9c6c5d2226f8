import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.train.recipe import Recipe, load_recipe
from weightsmith.train.recipe.text import dump, parse


def write(folder: Path, text: str | bytes, name: str = "recipe.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    return str(caught.value)


def test_a_file_is_a_recipe(tmp_path):
    recipe = load_recipe(write(tmp_path, "model: {name: mlp, hidden: [10]}\noptimizer:\n  name: sgd\n  lr: 1e-3\n"))
    assert recipe == Recipe(model={"name": "mlp", "hidden": [10]}, optimizer={"name": "sgd", "lr": 0.001})


def test_the_effective_recipe_written_anywhere_loads_equal(tmp_path):
    (tmp_path / "here").mkdir()
    recipe = load_recipe(write(tmp_path / "here", "data: {path: ../rows.csv, target: 'yes'}\nmodel: my.nets:build\n"))
    assert load_recipe(write(tmp_path, recipe.to_yaml(), "elsewhere.yaml")) == recipe


def test_relative_paths_count_from_the_files_folder(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    at = tmp_path / "a" / "b"
    assert load_recipe(write(at, "data: ../mine\n")).data.path == str(tmp_path / "a" / "mine")
    assert load_recipe(write(at, "data: {path: x.csv}\n")).data.path == str(at / "x.csv")
    assert load_recipe(write(tmp_path / "a", "data: mine\n")).data.path == str(tmp_path / "a" / "mine")
    assert load_recipe(write(at, "data: iris\n")).data.name == "iris"
    assert load_recipe(write(at, "model: {name: 'nets:build', folder: ..}\n")).model.folder == str(tmp_path / "a")
    assert load_recipe(Path("a/b/recipe.yaml")).model.folder == str(tmp_path / "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [mlp\n", "recipe.yaml, line 2: "),
        ("seed: 1\nmodel: mlp\n  x: y: z\n", "recipe.yaml, line 3: "),
        ("seed: 1\nseed: 2\n", "recipe.yaml, line 2: duplicate key 'seed'"),
        ("model:\n  name: mlp\n  name: cnn\n", "recipe.yaml, line 3: duplicate key 'name'"),
        ("seed: !!python/object/apply:os.system ['true']\n", "recipe.yaml, line 1: tag"),
        ("!!python/object:os.X {}\n", "recipe.yaml, line 1: tag"),
        ("data: &a [1]\nmodel: *a\n", "recipe.yaml, line 2: aliases are not supported"),
        ("3: 4\n", "recipe.yaml, line 1: key 3 is not text"),
        ("? [a]\n: 4\n", "recipe.yaml, line 1: key ['a'] is not text"),
        ("a: 1\n---\nb: 2\n", "recipe.yaml, line 2: "),
        ("- a\n", "recipe.yaml: holds ['a']; a recipe is a mapping"),
        ("", "recipe.yaml: is empty; a recipe is a mapping of fields such as `model: mlp`"),
        ("# nothing\n", "recipe.yaml: is empty"),
        ("word\n", "recipe.yaml: holds 'word'; a recipe is a mapping"),
        ("model: a\x01b\n", "recipe.yaml, line 1: character"),
        ("seed: 1\nmodel: '\xff\n".encode("latin-1"), "recipe.yaml, line 2: not UTF-8 text"),
        ("seed: " + "1" * 5000, "recipe.yaml, line 1: a number of 5000 digits"),
        ("a: " + "[" * 5000, "recipe.yaml: nested too deeply"),
        ("# " + "x" * (1 << 20), "recipe.yaml: 1,048,578 bytes are too many for a recipe"),
        ("optimizer:\n  lr: -1\n", "recipe.yaml: optimizer.lr: must be above 0, got -1"),
        ("seed: 010x\n", "recipe.yaml: seed: must be a whole number, got '010x'"),
        ("batch_norm: yes\n", "recipe.yaml: batch_norm: must be true or false, got 'yes'"),
    ],
)
def test_a_bad_file_gets_one_line_that_names_it(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text)
    found = refused(Path("recipe.yaml"))
    assert found.startswith(message)
    assert "\n" not in found


def test_several_mistakes_each_name_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "seed: x\nmodle: mlp\n")
    assert all(line.startswith("recipe.yaml: ") for line in refused(Path("recipe.yaml")).split("\n"))


def test_no_file_a_folder_and_an_unreadable_file(tmp_path):
    write(tmp_path, "seed: 1\n")
    assert refused(tmp_path / "recpie.yaml").endswith("recpie.yaml; did you mean 'recipe.yaml'?")
    assert refused(tmp_path / "no" / "x.yaml").startswith("no recipe at ")
    assert refused(tmp_path) == f"{tmp_path} is a folder: give a recipe file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file(tmp_path):
    path = write(tmp_path, "seed: 1\n")
    path.chmod(0)
    assert "cannot be read: Permission denied" in refused(path)


def test_a_tag_is_never_executed(tmp_path):
    flag = tmp_path / "executed"
    refused(write(tmp_path, f"seed: !!python/object/apply:os.mkdir ['{flag}']\n"))
    assert not flag.exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("010", 10),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("no", "no"),
        ("2020-01-01", "2020-01-01"),
        ("true", True),
        ("~", None),
        ("", None),
        ("a: ", {"a": None}),
        ("-.inf", float("-inf")),
    ],
)
def test_plain_words_are_read_as_yaml_1_2_reads_them(text, value):
    found = parse(text, "text")
    assert found == value
    assert type(found) is type(value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(PLAIN)
def test_what_is_dumped_is_read_back(value):
    assert parse(dump(value), "text") == value


@given(st.text())
def test_any_text_is_a_value_or_an_input_error(text):
    found = None
    try:
        parse(text, "text")
    except InputError as error:
        found = str(error)
    assert found is None or (found.startswith("text") and "\n" not in found)
