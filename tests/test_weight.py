import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.weight import ROLES, WeightInfo

infos = st.builds(
    WeightInfo,
    name=st.text(max_size=20),
    shape=st.lists(st.integers(0, 9), max_size=4).map(tuple),
    dtype=st.sampled_from(["float32", "bfloat16", "int8"]),
    role=st.sampled_from(ROLES),
    layer=st.none() | st.just("Linear"),
    activation=st.none() | st.just("relu"),
    tied_to=st.none() | st.text(max_size=5),
)


@given(infos)
def test_a_description_survives_json(info):
    assert WeightInfo.from_json(json.loads(json.dumps(info.to_json()))) == info


@given(infos)
def test_size_is_that_of_an_array_of_the_shape(info):
    assert info.size == np.empty(info.shape, dtype=np.int8).size
