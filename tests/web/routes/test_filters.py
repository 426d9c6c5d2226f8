"""Rows as images, against NumPy over the arrays that were written."""

import numpy as np
import pytest

from weightsmith.sources import write_safetensors

RNG = np.random.default_rng(5)
CONV = RNG.normal(size=(70, 3, 5, 4)).astype(np.float32)
CONV[2, 1, 0, 0] = np.nan
CONV[2, 1, 0, 1] = np.inf
DENSE = RNG.normal(size=(9, 64)).astype(np.float32)


@pytest.fixture
def images(serve, tmp_path):
    convolutional, linear = tmp_path / "conv.safetensors", tmp_path / "mlp.safetensors"
    write_safetensors(convolutional, {"c.weight": CONV, "c.bias": CONV[:, 0, 0, 0].copy()})
    write_safetensors(linear, {"a.weight": DENSE, "b.weight": DENSE.copy()})
    return serve(convolutional, linear)


def asked(client, address="f0/weights/0", **parameters):
    response = client.get(f"/api/sources/{address}/filters", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def planes_of(found):
    values = [[[np.nan if v is None else v for v in plane] for plane in one["planes"]] for one in found["filters"]]
    return np.array(values, np.float32).reshape(len(values), -1, found["height"], found["width"])


def test_each_channel_is_the_files_bit_for_bit(images):
    for channel in range(3):
        found = asked(images, channel=str(channel))
        assert (found["channels"], found["height"], found["width"], found["assumed"]) == (3, 5, 4, False)
        expected = np.where(np.isfinite(CONV[:64, channel]), CONV[:64, channel], np.nan)
        np.testing.assert_array_equal(planes_of(found)[:, 0], expected)


def test_colors_are_three_channels_and_the_strongest_is_the_longest(images):
    np.testing.assert_array_equal(planes_of(asked(images, channel="color", count=2)), CONV[:2])
    found = asked(images)
    finite = np.where(np.isfinite(CONV), CONV, 0).astype(np.float64)
    channels = np.linalg.norm(finite.reshape(70, 3, 20), axis=2).argmax(axis=1)[:64]
    assert [one["channels"] for one in found["filters"]] == [[channel] for channel in channels]
    np.testing.assert_allclose(
        [one["norm"] for one in found["filters"]], np.linalg.norm(finite.reshape(70, -1), axis=1)[:64]
    )


def test_pages_follow_each_other_and_end(images):
    found = asked(images, first=64)
    assert [one["row"] for one in found["filters"]] == list(range(64, 70))
    assert (found["total"], found["first"], found["per_page"]) == (70, 64, 64)
    assert asked(images, first=1 << 40)["filters"] == []


def test_large_images_are_fewer_to_a_page(serve, tmp_path):
    path = tmp_path / "w.safetensors"
    write_safetensors(path, {"w.weight": np.ones((12, 256 * 256), np.float32)})
    found = asked(serve(path))
    assert (found["height"], found["width"], len(found["filters"]), found["per_page"]) == (256, 256, 2, 2)


def test_a_first_layer_over_a_square_is_images_and_others_are_not(images, error_of):
    found = asked(images, "f1/weights/0")
    assert (found["height"], found["width"], found["channels"], found["assumed"]) == (8, 8, 1, True)
    np.testing.assert_array_equal(planes_of(found)[:, 0], DENSE.reshape(-1, 8, 8))
    np.testing.assert_array_equal(
        planes_of(asked(images, "f1/weights/0", height=4, width=16))[:, 0], DENSE.reshape(-1, 4, 16)
    )
    told = [images.get(f"/api/sources/{place}").json()["image"] for place in ("f0/weights/0", "f1/weights/0")]
    assert told == [True, True]
    for place in ("f0/weights/1", "f1/weights/1"):
        assert images.get(f"/api/sources/{place}").json()["image"] is False
        response = images.get(f"/api/sources/{place}/filters")
        assert response.status_code == 400
        error_of(response)


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        *(({"channel": "3"}, 400), ({"channel": "x"}, 422), ({"channel": "999999999"}, 400), ({"height": 4}, 400)),
        *(({"height": 0}, 422), ({"count": 65}, 422), ({"first": -1}, 422), ({"height": 5, "width": 5}, 400)),
    ],
)
def test_what_makes_no_sense_is_one_line(images, parameters, status, error_of):
    response = images.get("/api/sources/f0/weights/0/filters", params=parameters)
    assert response.status_code == status
    error_of(response)


def test_color_needs_three_channels(images, error_of):
    response = images.get("/api/sources/f1/weights/0/filters", params={"channel": "color"})
    assert response.status_code == 400
    assert "three" in error_of(response)
