import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.errors import InputError
from weightsmith.packing import encode, smallest
from weightsmith.packing.sizes import Content, candidate
from weightsmith.sources.packed import write_packed


def sparse(shape, share):
    random = np.random.default_rng(0)
    values = np.zeros(np.prod(shape), np.float32)
    values[: round(values.size * share)] = random.standard_normal(round(values.size * share)) + 5
    return random.permutation(values).reshape(shape)


def signed(shape, share):
    return np.sign(sparse(shape, share)) * np.random.default_rng(1).choice([-1, 1], shape)


@pytest.mark.parametrize(
    ("weight", "form", "values"),
    [
        (signed((40, 50), 1), "binary", "signs"),
        (signed((40, 50), 1) * np.linspace(0.1, 0.2, 40)[:, None], "binary", "signs"),
        (np.abs(signed((40, 50), 0.5)), "binary", "bits"),
        (signed((400, 50), 0.6), "bitmask", "signs"),
        (signed((400, 500), 0.02), "gaps", "signs"),
        (signed((400, 5000), 0.001), "csr", "signs"),
        (sparse((40, 50), 1), "dense", "float32"),
        (sparse((40, 50), 0.5), "bitmask", "float32"),
        (sparse((40, 500), 0.02), "gaps", "float32"),
        (np.eye(400, 900) * 2.1, "fan_in", "signs"),
        (np.eye(400, 900) * np.arange(1, 901) * (1 + 1e-6), "fan_in", "float32"),
    ],
)
def test_the_content_decides(weight, form, values):
    found = smallest(weight.astype(np.float32))
    assert (found.encoded.format, found.candidates[0].values) == (form, values)


@given(data=st.data())
def test_sizes_are_those_of_the_packed_weight(data):
    shape = data.draw(st.sampled_from([(3, 70), (17, 8), (5, 3, 3, 3), (2, 300), (0, 4), (4, 0), (9,), ()]))
    alphabet = data.draw(st.sampled_from([(0, 1), (-1, 1), (-2, 0, 2), (0, 1.1, 2.2), (0, 0, 0, 0.3, -0.3)]))
    weight = data.draw(hnp.arrays(np.float32, shape, elements=st.sampled_from(np.float32(alphabet).tolist())))
    found = smallest(weight)
    for each in found.candidates:
        plain = each.format in ("binary", "ternary")
        kept, alphabet = (None, each.values) if plain else (each.values, None)
        encoded = encode(weight, each.format, values=kept, alphabet=alphabet)
        assert encoded.nbytes == each.nbytes, each
    assert found.encoded.nbytes == found.candidates[0].nbytes
    assert found.candidates[0].total == min(each.total for each in found.candidates)


@pytest.mark.parametrize("form", ["binary", "ternary", "bitmask", "csr", "gaps", "fan_in", "dense"])
def test_lines_of_the_header_are_counted(tmp_path, form):
    weight = signed((40, 50), 1 if form == "binary" else 0.1).astype(np.float32)
    found = smallest(weight, name="layer.weight", formats=[form])
    write_packed(tmp_path / "a", {"layer.weight": found.encoded})
    write_packed(tmp_path / "b", {})
    added = (tmp_path / "a").stat().st_size - (tmp_path / "b").stat().st_size
    assert (
        abs(added - found.candidates[0].total) < 16
    )  # offsets have a few digits more, and headers end on multiples of 8


def test_formats_can_be_left_out():
    weight = sparse((40, 50), 0.1)
    assert smallest(weight, formats=["csr", "dense"]).encoded.format == "csr"
    with pytest.raises(InputError, match="'w' fits into none of binary, ternary: allow dense"):
        smallest(weight, name="w", formats=["binary", "ternary"])
    with pytest.raises(InputError, match="unknown format 'crs'"):
        smallest(weight, formats=["crs"])
    with pytest.raises(InputError, match="unknown type of values 'float8'"):
        smallest(weight, values="float8")


def test_rounding_shrinks_what_is_not_binary():
    weight = sparse((40, 500), 0.3)
    assert smallest(weight, values="float16").encoded.nbytes < smallest(weight).encoded.nbytes
    assert smallest(np.sign(weight) / 3, values="float16").candidates[0].values == "bits"


def test_the_page_has_the_sizes_of_the_formats(table):
    heading, *rows = table("not zero")
    side = 4096
    for share, *cells in rows:
        per_row = round(side * float(share.rstrip(" %")) / 100)
        content = Content((side, side), per_row * side, per_row)
        expected = []
        for column in heading[1:]:
            form, values = column.split()
            expected.append(f"{candidate('w', content, form, values, int(values == 'signs')).nbytes:,}")
        assert cells == expected, share


def test_the_page_says_where_masks_and_columns_break_even():
    for values in ("float32", "signs"):
        below, above = (
            {
                form: candidate("w", Content((1024, 1024), nonzero, 0), form, values, 0).nbytes
                for form in ("bitmask", "csr")
            }
            for nonzero in (1024 * 1024 // 16 - 4000, 1024 * 1024 // 16)
        )
        assert below["csr"] < below["bitmask"]
        assert above["csr"] > above["bitmask"]


def test_the_page_says_where_gaps_break_even():
    for share, first, second in ((0.12, "gaps", "bitmask"), (0.004, "gaps", "csr"), (0.001, "csr", "gaps")):
        found = {each.format: each.nbytes for each in smallest(sparse((1000, 2000), share)).candidates}
        assert found[first] < found[second]


def test_the_page_has_the_sizes_of_whole_files(table, tmp_path):
    layers = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}

    def size(share, factor, **options):
        entries = {}
        for layer, shape in layers.items():
            weight = (signed(shape, share) * factor if factor else sparse(shape, share)).astype(np.float32)
            entries[f"{layer}.weight"] = smallest(weight, name=f"{layer}.weight", **options).encoded
            entries[f"{layer}.bias"] = np.ones(shape[0], np.float32)
        path = tmp_path / "a.safetensors"
        write_packed(path, entries)
        return f"{path.stat().st_size:,}"

    expected = {
        "binary, a scale for each layer": size(1, 0.3),
        "10 % not zero, float32": size(0.1, 0),
        "2 % not zero, float32": size(0.02, 0),
        "2 % not zero, float16": size(0.02, 0, values="float16"),
        "2 % not zero, signs and a scale for each layer": size(0.02, 0.3),
    }
    assert dict(table("weights | bytes")[1:]) == expected
    assert int(expected["2 % not zero, signs and a scale for each layer"].replace(",", "")) < 16_113
