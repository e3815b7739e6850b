"""Plain values survive the conversion to DynamoDB's format and back."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lambdas.eventing.attributes import from_attributes, to_attributes

_TEXT = st.text('aZ0 "ü€😀', max_size=4)
_SCALARS = st.none() | st.booleans() | _TEXT | st.integers(-(10**37), 10**37)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_TEXT, _VALUES, max_size=4))
def test_values_are_equal_after_conversion_and_back(item: dict[str, Any]) -> None:
    assert from_attributes(to_attributes(item)) == item


def test_numbers_are_read_as_integers() -> None:
    assert type(from_attributes({"n": {"N": "1250"}})["n"]) is int
