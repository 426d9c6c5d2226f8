import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from weightsmith.cli.subject import RoleOption, is_weights_reference, parse_roles, subject
from weightsmith.errors import InputError, SourceError, StoreError
from weightsmith.sources import Source, write_safetensors


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {"fc.weight": np.ones((2, 3), np.float32), "fc.bias": np.zeros(2, np.float32)})
    return path


def test_files_folders_and_urls_open_as_weights(model, monkeypatch):
    monkeypatch.chdir(model.parent)
    for reference in (str(model), model.name, str(model.parent), model.as_uri()):
        with subject(reference, None) as opened:
            assert isinstance(opened, Source)
            assert list(opened) == ["fc.weight", "fc.bias"]


def test_a_file_without_a_suffix_opens(model, monkeypatch):
    monkeypatch.chdir(model.parent)
    model.rename("plain")
    with subject("plain", None) as opened:
        assert len(opened) == 2


def test_a_run_opens_from_the_store(trained):
    with subject("first", str(trained)) as opened:
        assert not isinstance(opened, Source)
        assert opened.name == "first"
    with pytest.raises(InputError, match="is a run, which knows its roles"), subject("first", str(trained), ["*=norm"]):
        pass


@pytest.mark.parametrize(
    "reference",
    [
        "none.safetensors",
        "none.pt",
        "x/y",
        "none.gguf",
        "none.index.json.bin",
        "none.pb",
        "folder/",
        "~/x.npz",
        "a\x1b/b",
    ],
)
def test_what_looks_like_a_path_is_reported_as_a_file(reference):
    with pytest.raises(SourceError, match="no such file") as caught, subject(reference, None):
        pass
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("reference", ["latest", "first", "2026-11-23", "run.3"])
def test_everything_else_is_a_run(reference, tmp_path):
    assert not is_weights_reference(reference)
    with pytest.raises(StoreError, match="no store is there"), subject(reference, str(tmp_path / "none")):
        pass


def test_a_name_that_is_neither_file_nor_run_says_both(trained):
    with (
        pytest.raises(
            StoreError, match=r"no file or folder 'a\\x1b', nor does a run answer to that: .* holds no run"
        ) as caught,
        subject("a\x1b", str(trained)),
    ):
        pass
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("texts", "roles"),
    [
        ((), {}),
        (("head.*=linear",), {"head.*": "linear"}),
        (("a=b=norm", "*=other"), {"a=b": "norm", "*": "other"}),
    ],
)
def test_roles_from_the_command_line(texts, roles):
    assert parse_roles(texts) == roles


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("head", "not of the form"),
        ("=linear", "not of the form"),
        ("", "not of the form"),
        ("a=linaer", "did you mean 'linear'"),
        ("a=\x1b", "unknown role"),
    ],
)
def test_mistaken_roles(text, words):
    with pytest.raises(InputError, match=words) as caught:
        parse_roles([text])
    assert str(caught.value).isprintable()


def test_the_option_can_be_repeated(model):
    app = typer.Typer()

    @app.command()
    def show(reference: str, roles: RoleOption = None) -> None:
        with subject(reference, None, roles) as opened:
            typer.echo(json.dumps({name: weight.role for name, weight in opened.items()}))

    result = CliRunner().invoke(app, [str(model), "--role", "*.weight=conv", "--role", "fc.bias=other"])
    assert json.loads(result.output) == {"fc.weight": "conv", "fc.bias": "other"}
    assert json.loads(CliRunner().invoke(app, [str(model)]).output) == {"fc.weight": "linear", "fc.bias": "bias"}
