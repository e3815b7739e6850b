"""TypeScript types of the events: a consumer compiles with them, and their misuse does not."""

import subprocess
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from msgspec import Meta, Struct

from lambdas.eventing.event import Event
from lambdas.orders.events import OrderPlaced
from lambdas.payments import events as payments
from stacks.constructs.packaging import node
from stacks.schemas.events import PUBLISHED
from tools.contracts import typescript
from tools.contracts.__main__ import TYPES
from workspace.isolation import PROJECT

COMPILER = PROJECT / "node_modules" / "typescript" / "lib" / "tsc.js"
CONSUMER = PROJECT / "docs" / "events" / "consumer.example.ts"
MISUSE = Path(__file__).with_name("misuse.ts")


def compiled(*files: Path) -> list[str]:
    """Compiles files; returns the errors."""
    done = subprocess.run(
        [
            *(node(), str(COMPILER), "--noEmit", "--strict", "--pretty", "false"),
            *("--target", "es2022", "--lib", "es2022", "--module", "nodenext"),
            *map(str, files),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    errors = done.stdout.splitlines()
    assert bool(errors) == bool(done.returncode)
    return errors


class SampleEvent(Event, frozen=True, kw_only=True):
    """Base of samples."""

    source: ClassVar[str] = "orderflow.sample"


def test_the_types_match_the_classes() -> None:
    assert TYPES.read_text() == typescript.declarations(PUBLISHED.values()), (
        "docs/events/events.d.ts is out of date: run `make generated`"
    )


def test_a_consumer_compiles_and_each_misuse_is_an_error() -> None:
    """The compiler reports a directive above a line without an error."""
    assert MISUSE.read_text().count("// @ts-expect-error") >= 8
    assert compiled(CONSUMER, MISUSE) == []


def test_every_published_event_is_in_the_union() -> None:
    union = TYPES.read_text().partition("export type ShopEvent =")[2].partition(";")[0]
    assert union.count("|") == len(PUBLISHED)


def test_an_older_version_is_marked_as_deprecated() -> None:
    text = TYPES.read_text()
    comment = text.partition("export interface OrderRejectedV1 ")[0].rpartition("/**")[2]
    assert "@deprecated in favour of OrderRejected.v2" in comment


def test_optional_fields_unions_maps_and_odd_names_have_types() -> None:
    class OrderSeen(SampleEvent, frozen=True, kw_only=True, rename={"by": "seen-by"}):
        """A text that ends */ no comment."""

        by: str | None = None
        times: tuple[int | None, ...] = ()
        facts: dict[str, float]

    made = typescript.declarations([OrderSeen])
    assert 'readonly "seen-by"?: string | null;' in made
    assert "readonly times?: readonly (number | null)[];" in made
    assert "readonly facts: { readonly [key: string]: number };" in made
    assert "ends * / no comment" in made


def test_a_field_without_an_equivalent_type_is_named() -> None:
    class OrderSeen(SampleEvent, frozen=True, kw_only=True):
        """Something."""

        anything: Any

    with pytest.raises(typescript.NotTypeable, match=r"OrderSeenV1\.anything: no type is known"):
        typescript.declarations([OrderSeen])


def test_a_name_with_different_meanings_in_two_modules_is_not_a_types_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = [PUBLISHED["OrderPlaced.v2"], PUBLISHED["PaymentRefunded.v1"]]
    assert "export type Currency = string;" in typescript.declarations(both)
    another = Annotated[str, Meta(description="A coin")]
    monkeypatch.setattr(payments, "Currency", another)
    assert "export type Currency" not in typescript.declarations(both)


def test_two_different_classes_with_one_name_are_an_error() -> None:
    class Line(Struct):
        """Another line than that of orders."""

        text: str

    class OrderSeen(SampleEvent, frozen=True, kw_only=True):
        """Something."""

        lines: tuple[Line, ...]

    with pytest.raises(typescript.NotTypeable, match="two different classes are called Line"):
        typescript.declarations([OrderPlaced, OrderSeen])
