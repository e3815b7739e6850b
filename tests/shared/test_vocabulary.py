"""The words that all contexts share: what they admit, and that each is defined once."""

import inspect
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lambdas
from lambdas.eventing.event import Moment
from lambdas.eventing.http import Problem
from lambdas.orders.domain import order_id_for
from lambdas.shared import problems, vocabulary
from lambdas.shared.vocabulary import MAX_MINOR, Currency, CustomerId, Minor, OrderId, is_order_id

ORDER_ID = "7d1f0c52-5a6b-5c3d-9e21-0b9a4f6c8e13"
WORDS = {"Currency", "Minor", "MAX_MINOR", "OrderId", "CustomerId", "is_order_id", "Moment"}


@given(st.text(), st.text())
def test_the_id_of_every_order_has_the_form_of_one(customer_id: str, key: str) -> None:
    assert is_order_id(order_id_for(customer_id, key))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order-1",
        ORDER_ID.upper(),
        ORDER_ID.replace("-", ""),
        f"{ORDER_ID}\n",
        f" {ORDER_ID}",
        f"{ORDER_ID}0",
        f"../{ORDER_ID}",
        ORDER_ID.replace("7", "\u0667"),
    ],
)
def test_anything_else_has_not(text: str) -> None:
    assert is_order_id(ORDER_ID)
    assert not is_order_id(text)


@pytest.mark.parametrize("value", [-1, MAX_MINOR + 1, 1.5, "1", True])
def test_money_is_a_bounded_whole_number(value: object) -> None:
    assert msgspec.convert(MAX_MINOR, Minor) == MAX_MINOR
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, Minor)


@pytest.mark.parametrize("value", ["eur", "EU", "EURO", "EUR\n", ""])
def test_a_currency_is_three_capital_letters(value: str) -> None:
    assert msgspec.convert("EUR", Currency) == "EUR"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, Currency)


def test_a_moment_has_a_time_zone() -> None:
    assert msgspec.convert("2026-01-05T08:00:00Z", Moment).tzinfo
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("2026-01-05T08:00:00", Moment)


@pytest.mark.parametrize("word", [OrderId, CustomerId])
def test_the_example_of_an_id_is_one(word: Any) -> None:
    (example,) = msgspec.json.schema(word)["examples"]
    assert is_order_id(example)


def sources() -> dict[str, str]:
    """The text of each module of the handlers, by its name."""
    names = [each.name for each in walk_packages(lambdas.__path__, "lambdas.")]
    return {name: inspect.getsource(import_module(name)) for name in names}


def test_each_word_is_defined_once() -> None:
    definitions = {
        word: [
            module
            for module, source in sources().items()
            if f"\n{word} = " in source or f"\ndef {word}(" in source
        ]
        for word in WORDS
    }
    home = {word: [vocabulary.__name__] for word in WORDS}
    assert definitions == home | {"Moment": ["lambdas.eventing.event"]}


@pytest.mark.parametrize("text", [ORDER_ID, "c0a8f2de-3b71-4d5e-9f06-1e2d3c4b5a69", "^[A-Z]{3}$"])
def test_no_context_spells_a_word_for_itself(text: str) -> None:
    assert [module for module, source in sources().items() if text in source] == [
        vocabulary.__name__
    ]


def test_no_two_problems_have_one_name() -> None:
    """Programs tell problems apart by a code that is made of the name."""
    found: dict[str, set[type[Problem]]] = {}
    for module in sources():
        for value in vars(import_module(module)).values():
            if isinstance(value, type) and issubclass(value, Problem) and value is not Problem:
                found.setdefault(value.__name__, set()).add(value)
    assert found["UnknownOrder"] == {problems.UnknownOrder}
    assert {name: kinds for name, kinds in found.items() if len(kinds) > 1} == {}
