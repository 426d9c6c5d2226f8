import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weightsmith.sources as sources
from weightsmith.errors import SourceError
from weightsmith.sources import Source, json_file, sharded, write_safetensors
from weightsmith.sources.sharded import join

NAMES = [f"layer.{number}.weight" for number in range(6)]


def values(name):
    return np.full((2, 3), sum(name.encode()), np.float32)


def write(folder, homes, *, shards=None, index="model.safetensors.index.json", **extra):
    """An index over `homes` and the shards that it names, or those given."""
    for shard, names in (shards or group(homes)).items():
        (folder / shard).parent.mkdir(parents=True, exist_ok=True)
        write_safetensors(folder / shard, {name: values(name) for name in names}, {"format": "pt"})
    path = folder / index
    path.write_text(json.dumps({"metadata": {"total_size": 144}, "weight_map": homes, **extra}))
    return path


def group(homes):
    return {shard: [name for name, home in homes.items() if home == shard] for shard in homes.values()}


def two_shards():
    return {name: f"model-0000{1 + number // 3}-of-00002.safetensors" for number, name in enumerate(NAMES)}


def refusal(path):
    with pytest.raises(SourceError) as caught:
        sources.open(path)
    message = str(caught.value)
    assert message.isprintable(), message
    assert str(path.name) in message
    return message


def test_shards_come_as_one_source(tmp_path):
    source = sources.open(write(tmp_path, two_shards()))
    assert list(source) == NAMES
    for name in NAMES:
        np.testing.assert_array_equal(source[name].read(), values(name))
    assert [file.label.rpartition("/")[2] for file in source.files] == sorted(set(two_shards().values()))
    assert source.file_format == "safetensors"
    assert source.metadata == {"format": "pt", "total_size": "144"}
    assert source.aside == ()
    assert source.label == str(tmp_path / "model.safetensors.index.json")


def test_a_single_shard_opens_alone(tmp_path):
    write(tmp_path, two_shards())
    assert list(sources.open(tmp_path / "model-00002-of-00002.safetensors")) == NAMES[3:]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(places=st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_any_assignment_reads_back(tmp_path_factory, places):
    homes = {NAMES[number]: f"s/part-{place}.safetensors" for number, place in enumerate(places)}
    source = sources.open(write(tmp_path_factory.mktemp("shards"), homes))
    assert set(source) == set(homes)
    assert len(source.files) == len(set(places))
    assert all((source[name].read() == values(name)).all() for name in homes)


def test_each_shard_is_opened_once(tmp_path, monkeypatch):
    homes = {NAMES[0]: "a.safetensors", NAMES[1]: "./a.safetensors", NAMES[2]: "b/../b.safetensors"}
    path = write(tmp_path, homes, shards={"a.safetensors": NAMES[:2]})
    opened = []
    original = sharded.open_single
    monkeypatch.setattr(sharded, "open_single", lambda *given: opened.append(given[0].label) or original(*given))
    assert "not inside its folder" in refusal(path)
    homes.pop(NAMES[2])
    sources.open(write(tmp_path, homes, shards={"a.safetensors": NAMES[:2]}))
    assert len(opened) == 1


def test_torch_shards(tmp_path):
    homes = {"fc.weight": "pytorch_model-00001-of-00002.bin", "fc.bias": "pytorch_model-00002-of-00002.bin"}
    torch.save({"fc.weight": torch.ones(3, 2)}, tmp_path / homes["fc.weight"])
    torch.save({"fc.bias": torch.zeros(3)}, tmp_path / homes["fc.bias"])
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"weight_map": homes}))
    source = sources.open(path)
    assert source.file_format == "torch"
    assert {name: weight.role for name, weight in source.items()} == {"fc.weight": "linear", "fc.bias": "bias"}


def test_weights_that_the_index_does_not_take_are_left_aside(tmp_path):
    homes = {NAMES[0]: "a.safetensors", NAMES[1]: "b.safetensors"}
    shards = {"a.safetensors": [NAMES[0], NAMES[1]], "b.safetensors": [NAMES[1], NAMES[2]]}
    source = sources.open(write(tmp_path, homes, shards=shards))
    assert list(source) == NAMES[:2]
    assert [(each.name, each.reason, each.nbytes) for each in source.aside] == [
        (NAMES[1], "in a.safetensors: the index takes it from b.safetensors", 24),
        (NAMES[2], "in b.safetensors: not in the index", 24),
    ]


def test_a_missing_shard_is_named_with_what_it_holds(tmp_path):
    path = write(tmp_path, two_shards())
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    assert "shard 'model-00002-of-00002.safetensors', which holds 3 of 6 weights" in refusal(path)


def test_a_weight_that_is_not_in_its_shard(tmp_path):
    shards = {"a.safetensors": [NAMES[0]]}
    message = refusal(write(tmp_path, dict.fromkeys(NAMES, "a.safetensors"), shards=shards))
    assert "'layer.1.weight' and 4 more should be in a.safetensors" in message


def test_long_names_are_not_repeated_in_full(tmp_path):
    path = write(
        tmp_path, {NAMES[0]: "a.safetensors", "n" * 100_000: "a.safetensors"}, shards={"a.safetensors": NAMES[:1]}
    )
    assert len(refusal(path)) < 1000


@pytest.mark.parametrize("where", ["a.safetensors", "there/a.safetensors"])
def test_links_do_not_lead_out_of_the_folder(tmp_path, where):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    for folder in (outside, inside):
        folder.mkdir()
    path = inside / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": dict.fromkeys(NAMES, where)}))
    write(outside, {}, shards={"a.safetensors": NAMES})
    (inside / "a.safetensors").symlink_to(outside / "a.safetensors")
    (inside / "there").symlink_to(outside)
    assert "is a link that leads out of its folder" in refusal(path)


def test_a_cache_of_links_opens(tmp_path):
    """As the cache of the Hugging Face hub: every file of a model links to one in a folder that all share."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "one"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    write(blobs, two_shards())
    for number, file in enumerate(sorted(blobs.iterdir())):
        (snapshot / file.name).symlink_to(Path("../../blobs") / str(number))
        file.rename(blobs / str(number))
    assert list(sources.open(snapshot)) == NAMES
    assert list(sources.open(snapshot / "model.safetensors.index.json")) == NAMES


@pytest.mark.parametrize(
    ("shard", "words"),
    [
        ("model.safetensors.index.json", "names itself"),
        ("./model.safetensors.index.json", "names itself"),
        ("other.safetensors.index.json", "names another index"),
        ("hidden.safetensors", "is an index itself"),
        ("../model.safetensors", "not inside its folder"),
        ("/etc/passwd", "not inside its folder"),
        ("", "not inside its folder"),
        ("n" * 5000, "a path of 5000 characters"),
        ("a\x1b[31m.safetensors", "a\\x1b[31m.safetensors"),
    ],
)
def test_indexes_that_lead_astray(tmp_path, shard, words):
    for other in ("other.safetensors.index.json", "hidden.safetensors"):
        (tmp_path / other).write_text('{"weight_map": {"a": "model.safetensors.index.json"}}')
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"a": shard}}))
    assert words in refusal(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"weight_map": {"a": "x", "a": "y"}}', "'a' is there twice"),
        ('{"weight_map": {}}', "is empty"),
        ('{"weight_map": ["a"]}', "does not map names to files"),
        ('{"weight_map": {"a": 1}}', "does not map names to files"),
        ('{"weight_map": null}', "without a weight_map"),
        ('{"weight_map": {"a"', "not JSON"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"\x1b": 1, "\x1b": 2}', "not JSON"),
        ('{"\\u001b": 1, "\\u001b": 2}', "'\\x1b' is there twice"),
    ],
    ids=["twice", "empty", "list", "number", "null", "cut", "deep", "raw control", "control"],
)
def test_malformed_indexes(tmp_path, text, words):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    assert words in refusal(path)


def test_an_index_that_is_no_text(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(b'{"\xff": 1}')
    assert "not text in UTF-8" in refusal(path)


def test_the_size_of_an_index_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(sharded, "INDEX_LIMIT", 100)
    assert json_file.INDEX_LIMIT > 1 << 20
    assert "100 are allowed" in refusal(write(tmp_path, two_shards()))


def test_pieces_with_the_same_names_need_prefixes(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", {"fc.weight": values("a")})
    piece = sources.open(tmp_path / "a.safetensors")
    assert list(join("both", [("x.", piece), ("y.", piece)])) == ["x.fc.weight", "y.fc.weight"]
    with pytest.raises(SourceError, match=r"both: 'fc\.weight' is in several of its files"):
        join("both", [("", piece), ("", piece)])


def test_ties_keep_their_prefix():
    linear = torch.nn.Linear(2, 2)
    model = torch.nn.ModuleDict({"a": linear, "b": torch.nn.Linear(2, 2)})
    model["b"].weight = linear.weight
    joined = join("all", [("part.", sources.open(model))])
    assert joined["part.b.weight"].info.tied_to == "part.a.weight"
    assert isinstance(joined, Source)
