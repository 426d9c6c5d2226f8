import subprocess
import sys

import numpy as np
import pytest
from torch import nn

import weightsmith.sources as sources
from weightsmith.errors import InputError
from weightsmith.sources import Source, Weight, printable, write_safetensors
from weightsmith.weight import WeightInfo


@pytest.fixture
def path(tmp_path):
    written = tmp_path / "model.safetensors"
    write_safetensors(
        written, {"fc.weight": np.ones((2, 3), np.float32), "fc.bias": np.zeros(2, np.float32)}, {"a": "b"}
    )
    return written


def test_open_gives_a_mapping(path):
    source = sources.open(path)
    assert list(source) == ["fc.weight", "fc.bias"]
    assert len(source) == 2
    assert "fc.bias" in source
    assert source.get("nothing") is None
    assert source.metadata == {"a": "b"}
    assert source.label == str(path)
    assert [info.role for info in source.infos] == ["linear", "bias"]
    assert sources.open(str(path)).keys() == source.keys()
    assert sources.open(source) is source


def test_unknown_name_suggests_and_is_a_key_error(path):
    with pytest.raises(KeyError) as caught:
        sources.open(path)["fc.wieght"]
    assert isinstance(caught.value, InputError)
    assert str(caught.value).endswith("has no weight 'fc.wieght'; did you mean 'fc.weight'?")


def test_sketch_reads_the_values(path):
    sketch = sources.open(path)["fc.weight"].sketch(threads=1)
    assert sketch.count == 6
    assert sketch.sum == 6


def test_a_module_is_recognized():
    assert list(sources.open(nn.Linear(2, 3))) == ["weight", "bias"]


def test_representations_escape_names():
    info = WeightInfo("<b>\x1b[31m", (2,), "float32", "other")
    source = Source("a\nb", [Weight(info, 8, lambda: np.zeros(2, np.float32))])
    assert repr(source) == r"<Source a\nb: 1 weights, 2 elements>"
    html = source._repr_html_()
    assert "<b>" not in html
    assert "\x1b" not in html
    assert r"&lt;b&gt;\x1b[31m" in html


def test_long_lists_are_shortened():
    weights = [Weight(WeightInfo(f"w{i}", (), "float32", "other"), 4, lambda: np.zeros(())) for i in range(150)]
    assert "and 50 more" in Source("many", weights)._repr_html_()


@pytest.mark.parametrize("text", ["\x1b[0m", "a\nb", "\x7f", "\u202eabc", "\ud800", "\x9b31m"])
def test_printable(text):
    assert printable(text).isprintable()
    assert printable(text) != text


def test_printable_keeps_plain_text():
    assert printable("encoder.0.weight, größe") == "encoder.0.weight, größe"


def test_opening_a_file_does_not_load_torch(path):
    code = (
        "import sys, weightsmith.sources as s; s.open(sys.argv[1])['fc.weight'].read(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
