"""Codes: an answer lists those that a field may have, and does not repeat what was sent."""

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from tests.eventing.test_http import answering
from tests.support.messages import Call

pytestmark = pytest.mark.usefixtures("cloud")


class Size(StrEnum):
    """Sizes of a shirt."""

    SMALL = "small"
    LARGE = "large"


class Shirt(Struct, kw_only=True, tag_field="kind", tag="shirt"):
    """A shirt."""

    size: Size = Size.SMALL


class Hat(Struct, kw_only=True, tag_field="kind", tag="hat"):
    """A hat, whose size has another name in JSON."""

    size: Annotated[Size | None, Meta(description="None fits all")] = None
    brim: Literal["wide", "narrow"] = "wide"


class Suitcase(Struct, kw_only=True, rename={"first": "1st"}):
    """Codes in all kinds of places."""

    size: Size = Size.SMALL
    first: Shirt | None = None
    clothes: tuple[Shirt | Hat, ...] = ()
    sizes: Annotated[list[Size], Meta(max_length=3)] = []


@pytest.mark.parametrize(
    ("sent", "field", "codes"),
    [
        ({"size": "ada@example.com"}, "size", "small, large"),
        ({"size": ""}, "size", "small, large"),
        ({"1st": {"kind": "shirt", "size": "ada@example.com"}}, "1st.size", "small, large"),
        ({"sizes": ["small", "ada@example.com"]}, "sizes[1]", "small, large"),
        (
            {"clothes": [{"kind": "shirt"}, {"kind": "hat", "size": "ada@example.com"}]},
            "clothes[1].size",
            "small, large",
        ),
        (
            {"clothes": [{"kind": "hat", "brim": "ada@example.com"}]},
            "clothes[0].brim",
            "narrow, wide",
        ),
        ({"clothes": [{"kind": "ada@example.com"}]}, "clothes[0].kind", "shirt, hat"),
    ],
)
def test_an_answer_lists_the_codes_and_does_not_repeat_what_was_sent(
    sent: dict[str, Any], field: str, codes: str
) -> None:
    answer = Call(body=json.dumps(sent)).send(answering(lambda *_: None, body=Suitcase))
    assert answer.status == 400
    assert answer.json["errors"] == [{"field": field, "reason": f"Expected one of {codes}"}]
    assert "ada@example.com" not in str(answer.json)


def test_an_answer_lists_the_codes_of_an_argument() -> None:
    answer = Call(query={"size": "ada"}).send(answering(lambda *_: None, query=Suitcase))
    assert answer.json["detail"] == "size: Expected one of small, large"
