"""Fault sites are read from an assembly and a run, and each fault fits some of them."""

from random import Random

import pytest

from cdk_rehearsal.faults import FAULTS, Call, Faults
from cdk_rehearsal.meter import Record
from cdk_rehearsal.sites import FaultSite, inject, misfit, sites_passed

RULE = FaultSite("rule", "A/Rule", "A/Queue")
QUEUE = FaultSite("queue", "A/Queue", "A/Function")
STREAM = FaultSite("stream", "A/Table", "A/Relay")
ROUTE = FaultSite("route", "Api", "A/Function")
TASK = FaultSite("task", "A/Workflow", "A/Function")
PUT_ITEM = FaultSite("call", "A/Function", "A/Table", "dynamodb.PutItem")
PUT_EVENTS = FaultSite("call", "A/Relay", "A/Bus", "events.PutEvents")
SITES = (RULE, QUEUE, STREAM, ROUTE, TASK, PUT_ITEM, PUT_EVENTS)


@pytest.mark.parametrize(
    ("name", "sites"),
    [
        ("duplicate", {RULE}),
        ("gone", {RULE}),
        ("shuffled", {QUEUE}),
        ("throttled", {QUEUE, STREAM, ROUTE, TASK}),
        ("raises", {QUEUE, STREAM, ROUTE, TASK}),
        ("raises-on", {QUEUE, STREAM, TASK}),
        ("fast", {QUEUE, STREAM, ROUTE, TASK}),
        ("call-lost", {PUT_ITEM, PUT_EVENTS}),
        ("partial", {PUT_EVENTS}),
        ("conflict", {PUT_ITEM}),
    ],
)
def test_a_fault_fits_the_sites_where_it_can_act(name: str, sites: set[FaultSite]) -> None:
    assert {site for site in SITES if misfit(FAULTS[name], site) is None} == sites


@pytest.mark.parametrize(
    ("name", "site", "moment", "between"),
    [
        ("duplicate", RULE, "way", ("A/Rule", "A/Queue")),
        ("shuffled", QUEUE, "receive", ("A/Queue", "A/Function")),
        ("raises", QUEUE, "before", ("anybody", "A/Function")),
        ("call-fails", PUT_ITEM, "call", ("A/Function", "A/Table")),
        ("hangs", QUEUE, "call", ("A/Function", "any table")),
    ],
)
def test_an_injected_fault_acts_at_its_site_alone(
    name: str, site: FaultSite, moment: str, between: tuple[str, str]
) -> None:
    faults = Faults(lambda path: True, lambda *_: None, Random(1))
    inject(faults, FAULTS[name], site, passes=1)
    assert faults.strike(moment, "B/Other", "B/Another", "PutItem") is None  # type: ignore[arg-type]
    struck = [faults.strike(moment, *between, "PutItem") for _ in range(2)]  # type: ignore[arg-type]
    assert struck == [None, FAULTS[name]]


def test_an_injected_call_fault_spares_other_operations() -> None:
    faults = Faults(lambda path: True, lambda *_: None, Random(1))
    inject(faults, FAULTS["call-fails"], PUT_ITEM)
    call = Call("dynamodb", "GetItem", {}, lambda _: "answer", lambda _: None)
    assert faults.call(call, PUT_ITEM.source, PUT_ITEM.target) == "answer"


def test_a_run_passes_edges_requests_steps_and_calls() -> None:
    call = {"service": "dynamodb", "operation": "PutItem"}
    records = [
        Record("delivery", 1.0, RULE.source, RULE.target, {}),
        Record("delivery", 1.0, "Elsewhere", RULE.target, {}),
        Record("invocation", 1.0, QUEUE.source, QUEUE.target, {"type": "sync"}),
        Record("invocation", 1.0, ROUTE.source, ROUTE.target, {"type": "sync"}),
        Record("invocation", 1.0, TASK.source, TASK.target, {"type": "sync", "execution": "one"}),
        Record("call", 1.0, PUT_ITEM.source, PUT_ITEM.target, call),
    ]
    assert sites_passed(records, [RULE, QUEUE]) == {RULE, ROUTE, TASK, PUT_ITEM}
