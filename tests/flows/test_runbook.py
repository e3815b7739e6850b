"""The runbook: each page's commands run after its failure has happened, down to its last line."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from cdk_rehearsal import FAULTS
from tests.flows.shop import FOREVER, Broken, Shop, confirmed_order
from tests.support.desk import Shell, blocks, inline, lay_out
from tests.support.documents import PAGES
from tools.catalogue.prose import failures
from workspace.isolation import PROJECT

RUNBOOK = PAGES["docs/runbook.md"]
SECTIONS = {page: document.text for page, document in failures(PROJECT).items()}
PREPARATION = blocks(RUNBOOK.partition("\n## ")[0])
QUIET = timedelta(minutes=30).total_seconds()
"""The time after which all alarms have seen a repaired application."""


def nothing(_: Shop) -> None:
    """Does nothing."""


def no_values(_: Shop) -> Mapping[str, str]:
    """Replaces nothing."""
    return {}


@dataclass(frozen=True)
class Failure:
    """What happened before an operator opens a page, and what else the operator does."""

    happens: Callable[[Shop], object]
    consumer: str = "checkout RunCheckout"
    """Context and name of the consumer that the alarm names."""
    repair: Callable[[Shop], object] = nothing
    """Removes the cause."""
    diagnosis: int = 1
    """The number of blocks that come before the cause is removed."""
    values: Callable[[Shop], Mapping[str, str]] = no_values
    """What the operator writes instead of placeholders."""


def break_function(path: str, *, fault: str = "raises-on") -> Callable[[Shop], None]:
    """A function fails until the cause is removed."""

    def happens(shop: Shop) -> None:
        shop.rehearsal.faults.plan(FAULTS[fault], target=path, times=FOREVER)

    return happens


def repaired(shop: Shop) -> None:
    """Removes all faults."""
    shop.rehearsal.faults.clear()


def a_message_is_parked(shop: Shop) -> None:
    shop.receive({"PARKED": 3})
    break_function("Checkout/RunCheckout/Function")(shop)
    shop.place({"PARKED": 1})
    shop.pass_time(hours=1)


FAILURES: Mapping[str, Failure] = {
    "messages-in-a-dead-letter-queue": Failure(a_message_is_parked, repair=repaired, diagnosis=2),
}


@pytest.mark.parametrize("page", FAILURES)
def test_the_commands_of_a_page_work_after_its_failure_until_all_is_done(
    shop: Shop, page: str, tmp_path: Path
) -> None:
    failure = FAILURES[page]
    failure.happens(shop)
    context, consumer = failure.consumer.split()
    shell = Shell(lay_out(tmp_path), shop.rehearsal)
    given = {"STAGE=prod": "STAGE=dev", "CONTEXT=checkout CONSUMER=RunCheckout": ""}
    given |= failure.values(shop)

    def run(block: str) -> str:
        for placeholder, value in given.items():
            block = block.replace(placeholder, value)
        return shell.run(block)

    shell.run(f"CONTEXT={context} CONSUMER={consumer}")
    for block in PREPARATION:
        run(block)
    assert shell.run(f"firing {page}").split(), "the failure has made no alarm fire"
    commands = blocks(SECTIONS[page])
    for number, block in enumerate(commands):
        if number == failure.diagnosis:
            failure.repair(shop)
        run(block)
    if failure.diagnosis >= len(commands):
        failure.repair(shop)
    shop.rehearsal.run_for(QUIET)
    last = SECTIONS[page].rpartition("Done when")[2]
    for command in inline(last):
        if command.startswith(("firing ", "aws ", "parked ")):
            assert run(command).split() == [], command
    shell.close()
