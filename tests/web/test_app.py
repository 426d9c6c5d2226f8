"""Answers as such: ETags, compression, prefixes, the page, and a walk over everything that the API describes."""

import gzip
import itertools
import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightsmith.web.answer import as_json, numbers

WALKS = 2 * settings().max_examples
"""Requests for each address."""
DEAR = ("embedding", "explain", "export", "findings", "statistics")
"""Parts of addresses that take longer to answer, and get a fifth of these requests."""


@pytest.fixture
def built(tmp_path, monkeypatch):
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Weightsmith</title>" + " " * 2000)
    (folder / "assets" / "index-D4f_g7Hk.js").write_text("export {}")
    (folder / "secret.py").write_text("no")
    (tmp_path / "outside.html").write_text("outside")
    monkeypatch.setattr("weightsmith.web.built.BUILT", folder)
    return folder


def test_json_has_an_etag_and_is_not_sent_twice(client):
    first = client.get("/api/sources/f0")
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', "*"):
        again = client.get("/api/sources/f0", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/api/sources/f0", headers={"if-none-match": '"other"'}).status_code == 200


def test_long_json_is_compressed_where_the_client_takes_it(client, record):
    address = f"/api/stores/s0/runs/{record()}/series"
    with client.stream("GET", address, headers={"accept-encoding": "gzip"}) as response:
        assert response.headers["content-encoding"] == "gzip"
        packed = b"".join(response.iter_raw())
    plain = client.get(address, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content
    assert "content-encoding" not in client.get("/api/hello").headers


def test_json_is_ascii_without_nan_whatever_it_holds():
    data = {"a": [1.0, float("nan"), {"b": float("-inf")}], "c": "\ud800 é", "d": np.float32("nan"), 3: (np.int64(4),)}
    body = as_json(data)
    assert body.isascii()
    assert json.loads(body) == {"a": [1.0, None, {"b": None}], "c": "\ud800 é", "d": None, "3": [4]}


def test_numbers_are_rounded_to_significant_digits():
    assert numbers(np.array([123456.789, 1.23456789e-9, np.nan, np.inf, 0.0]), 4) == [
        123500.0,
        1.235e-09,
        None,
        None,
        0.0,
    ]
    assert numbers(np.zeros((2, 0))) == [[], []]


@given(st.floats(1e-12, 1e18), st.sampled_from([-1, 1]), st.integers(4, 9))
def test_rounded_numbers_are_the_ones_that_their_text_names(size, sign, digits):
    value = sign * size
    kept = numbers(np.array([value]), digits)[0]
    assert len(repr(kept).strip("-0.").replace(".", "").partition("e")[0].strip("0")) <= digits
    assert abs(kept - value) <= 0.5000001 * 10.0 ** (math.floor(math.log10(size)) + 1 - digits)


def test_the_page_is_served_and_kept(client, built):
    for address in ("/", "/index.html", "/runs"):
        page = client.get(address)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "no-cache" in page.headers["cache-control"]
        assert b"Weightsmith" in page.content
    script = client.get("/assets/index-D4f_g7Hk.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    deep = client.get("/some/where")
    assert (deep.status_code, deep.headers["location"]) == (307, "/")


@pytest.mark.parametrize(
    "address",
    [
        *("/../outside.html", "/%2e%2e/outside.html", "/..%2foutside.html", "/assets/../../outside.html"),
        *("/assets/%2e%2e/%2e%2e/outside.html", "//etc/passwd", "/secret.py", "/assets/none.js", "/C:/x.js", "/%00"),
    ],
)
def test_no_address_leads_out_of_the_page(client, built, address):
    response = client.get(address)
    assert response.status_code in (200, 307, 404)
    assert b"outside" not in response.content
    assert response.content != b"no"


def test_a_page_that_is_not_built_says_how(client, built):
    (built / "index.html").unlink()
    response = client.get("/")
    assert "npm" in response.text
    assert response.headers["content-type"].startswith("text/plain")


def test_unknown_api_addresses_are_not_the_page(client, error_of):
    for address in ("/api", "/api/", "/api/nothing", "/api/sources", "/api/stores/s0", "/api/sources/f0/nothing"):
        response = client.get(address)
        assert response.status_code == 404, address
        error_of(response)


@pytest.mark.parametrize("sent", ["/x/api/hello", "/api/hello"])
def test_a_prefix_works_with_proxies_that_strip_it_and_that_do_not(serve, sent):
    assert serve(prefix="/x").get(sent).status_code == 200


def test_behind_a_prefix_the_page_is_where_its_addresses_lead(serve, built):
    client = serve(prefix="/x")
    assert client.get("/x/").status_code == 200
    for address in ("/x", "/x/some/where"):
        assert client.get(address).headers["location"] == "/x/"
    assert client.get("/x/assets/index-D4f_g7Hk.js").status_code == 200
    assert client.get("/x/api/nothing").status_code == 404


def test_what_nobody_foresaw_is_one_line_too(serve, monkeypatch, error_of):
    from starlette.testclient import TestClient

    client = serve()
    monkeypatch.setattr("weightsmith.web.library.Library.run", lambda *_: 1 / 0)
    quiet = TestClient(client.app, base_url="http://localhost", raise_server_exceptions=False)
    response = quiet.get("/api/stores/s0/runs/x")
    assert response.status_code == 500
    assert "division" not in error_of(response)


def test_everything_is_described(client):
    paths = client.get("/api/openapi.json").json()["paths"]
    assert all(set(methods) == {"get"} for methods in paths.values())
    assert all(methods["get"]["description"] for methods in paths.values())
    assert {"/api/hello", "/api/events", "/api/sources/{source}/weights/{index}/tiles/{level}/{row}/{column}"} <= set(
        paths
    )


ODD = [
    *(
        "",
        "0",
        "1",
        "-1",
        "999999999999999999999999",
        "1e3",
        "NaN",
        "null",
        "true",
        "a" * 300,
        "../..",
        "%",
        "\x00",
        "'",
    ),
    *('"', "<b>", "é‮", "💥", ";", "s0", "f0", "loss", "mean", "fc.weight", "1.5", "0x10", " ", "\n", "[]", "{}", "*"),
]


def test_no_walk_over_the_description_ends_in_a_server_error(client, record):
    """Each address with right and odd values in every place, by the description alone; `client` raises on a 500."""
    key = record()
    known = {
        "store": "s0",
        "run": key,
        "index": "1",
        "level": "0",
        "row": "0",
        "column": "0",
        "name": "loss",
        "weight": "fc.weight",
        "source": "f0",
    }
    paths = client.get("/api/openapi.json").json()["paths"]
    chance = random.Random(0)
    statuses = []
    for path, methods in paths.items():
        if path == "/api/events":  # never ends
            continue
        parameters = methods["get"].get("parameters", [])
        for _ in range(WALKS // 5 if any(part in path for part in DEAR) else WALKS):
            address, query = path, []
            for parameter in parameters:
                name = parameter["name"]
                odd = chance.random() < 0.4
                value = chance.choice(ODD) if odd else known.get(name, "1")
                if parameter["in"] == "path":
                    address = address.replace(
                        "{" + name + "}", "".join(f"%{byte:02x}" for byte in value.encode()) or "_"
                    )
                elif parameter["required"] or chance.random() < 0.5:
                    query += [(name, value)] * chance.choice([1, 1, 1, 2])
            if path == "/api/compare":
                query = [(name, f"s0~{key}" if chance.random() < 0.5 else value) for name, value in query]
            response = client.get(address, params=query)
            assert response.status_code in (200, 307, 400, 404, 409, 422), (address, query, response.text)
            if response.status_code >= 400:
                facts = response.json()
                assert list(facts) == ["error"]
                assert "\n" not in facts["error"]
            statuses.append(response.status_code)
    assert len(set(statuses)) > 3
    assert all(count > 20 for count in (statuses.count(200), statuses.count(404), statuses.count(422)))


def test_many_at_once_get_the_same(client, small):
    from concurrent.futures import ThreadPoolExecutor

    addresses = [
        f"/api/sources/f0/weights/{index}{more}" for index, more in itertools.product((0, 1), ("", "/correlation"))
    ]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda address: client.get(address).content, addresses * 10))
    for place, address in enumerate(addresses):
        assert len(set(found[place :: len(addresses)])) == 1, address
