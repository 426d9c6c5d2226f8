"""Matrices in another order, against NumPy over the arrays that were written."""

import numpy as np
import pytest


def tile_of(response):
    shape = int(response.headers["x-rows"]), int(response.headers["x-columns"])
    return np.frombuffer(response.content, "<f4").reshape(shape)


@pytest.mark.parametrize("parameters", [{"rows": "norm"}, {"rows": "similarity", "columns": "norm"}])
def test_tiles_and_margins_are_the_files_in_that_order(client, small, parameters):
    base = "/api/sources/f0/weights/1"
    order = client.get(f"{base}/order", params=parameters).json()
    assert (order["columns"] is None) == ("columns" not in parameters)
    assert sorted(order["rows"]) == list(range(24))
    expected = small[order["rows"]]
    if order["columns"] is not None:
        expected = expected[:, order["columns"]]
    np.testing.assert_array_equal(tile_of(client.get(f"{base}/tiles/0/0/0", params=parameters)), expected)
    norms = client.get(f"{base}/marginals", params={"axis": "columns", **parameters}).json()["norms"]
    np.testing.assert_allclose(norms, np.linalg.norm(expected.astype(float), axis=0), rtol=1e-6)
    if parameters["rows"] == "norm":
        assert np.all(np.diff(np.linalg.norm(expected.astype(float), axis=1)) <= 0)


def test_a_tile_of_another_order_is_another_tile(client):
    base = "/api/sources/f0/weights/1/tiles/0/0/0"
    plain, ordered = client.get(base), client.get(base, params={"rows": "norm"})
    assert plain.headers["etag"] != ordered.headers["etag"]
    assert plain.content != ordered.content
    again = client.get(base, params={"rows": "norm"}, headers={"if-none-match": plain.headers["etag"]})
    assert again.status_code == 200


def test_orders_that_can_be_had_are_told(client, error_of):
    assert client.get("/api/sources/f0/weights/1").json()["orders"] == {
        "rows": ["norm", "similarity"],
        "columns": ["norm", "similarity"],
    }
    assert client.get("/api/sources/f0/weights/2").json()["orders"] == {"rows": ["norm", "similarity"], "columns": []}
    response = client.get("/api/sources/f0/weights/2/order", params={"columns": "norm"})
    assert response.status_code == 400
    error_of(response)
    assert client.get("/api/sources/f0/weights/1/order", params={"rows": "name"}).status_code == 422
    assert client.get("/api/sources/f0/weights/1/order").json() == {"rows": None, "columns": None}


def test_a_large_matrix_with_nan_in_an_order(client, matrix):
    base = "/api/sources/f0/weights/0"
    order = client.get(f"{base}/order", params={"rows": "similarity"}).json()["rows"]
    unordered = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    assert order[-len(unordered) :] == unordered.tolist()
    found = tile_of(client.get(f"{base}/tiles/0/2/1", params={"rows": "similarity"}))
    np.testing.assert_array_equal(found, matrix[order][512:, 256:])
