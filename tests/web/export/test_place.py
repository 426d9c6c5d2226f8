"""Addresses as JavaScript writes them."""

import pytest

from weightsmith.errors import InputError
from weightsmith.web.export.place import Asked, Place


def test_parameters_are_kept_by_name_and_those_of_one_name_in_their_order():
    asked = Asked.at("stores", "s0", "runs", "r", "series", name=["b", "a"], bins=None)
    assert asked.path == "api/stores/s0/runs/r/series"
    assert asked.query == asked.key.partition("?")[2] == "name=b&name=a"
    assert Asked.at("x", b=1, a=2).key == Asked.at("x", a=2, b=1).key == "api/x?a=2&b=1"


def test_a_name_stays_in_its_parameter():
    key = Asked.at("a/b", weight="x&quantity=gradient#é ~*'()!").key
    # What encodeURIComponent makes of them.
    assert key == "api/a%2Fb?weight=x%26quantity%3Dgradient%23%C3%A9%20~*'()!"


@pytest.mark.parametrize("before", ["", "http://localhost:8300/", "https://hub.example/x/"])
def test_a_view_is_what_follows_the_hash_of_an_address(before):
    place = Place.parsed(before + "#/source/s0~r~3/weight/2?cell=3%2C4&search=a%20b&run=x&run=y")
    assert place.path == ("source", "s0~r~3", "weight", "2")
    assert place.name == "source/s0~r~3/weight/2"
    assert place.parameter("cell") == "3,4"
    assert place.parameter("run") == "x"
    assert place.parameter("nothing") == ""
    assert Place.parsed(str(place)) == place


def test_an_address_without_a_hash_is_no_view():
    with pytest.raises(InputError, match="has no #"):
        Place.parsed("http://localhost:8300/run")
