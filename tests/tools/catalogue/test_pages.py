"""Parts of pages: tables of fields, prose, diagrams and grants."""

import re
from typing import Any

from tools.catalogue import workflows
from tools.catalogue.drawing import map_of
from tools.catalogue.durations import spoken
from tools.catalogue.fields import changes, fields
from tools.catalogue.graphviz import graphs_of
from tools.catalogue.markdown import html
from tools.catalogue.model import System, WorkflowPage
from tools.catalogue.prose import preparation, redrive
from tools.catalogue.site import breakable, named, timed
from workspace.isolation import PROJECT

ADDRESS = {
    "title": "Address",
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 9}},
    "required": ["city"],
}


def schema(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": ["id"],
        "$defs": {"Address": ADDRESS},
    }


def test_nested_fields_follow_their_field() -> None:
    to = {"type": "array", "items": {"$ref": "#/$defs/Address"}, "minItems": 1}
    table = fields(schema(id={"type": "string", "examples": ["a"]}, to=to))
    assert [(field.name, field.depth, field.type, field.required) for field in table] == [
        ("id", 0, "string", True),
        ("to", 0, "list of Address", False),
        ("city", 1, "string", True),
    ]
    assert [field.limits for field in table] == [
        (),
        ("at least 1 items",),
        ("at most 9 characters",),
    ]
    assert table[0].example == '"a"'


def test_changes_are_listed_by_field_including_nested_fields() -> None:
    before = schema(id={"type": "string"}, to={"$ref": "#/$defs/Address"}, old={"type": "integer"})
    after = schema(id={"type": "string"}, to={"$ref": "#/$defs/Address"}, new={"type": "integer"})
    after["$defs"] = {"Address": ADDRESS | {"properties": {"city": {"type": "string"}}}}
    assert [(change.kind, change.field, change.after) for change in changes(before, after)] == [
        ("changed", "to.city", "string, required"),
        ("removed", "old", ""),
        ("added", "new", "integer, optional"),
    ]
    assert changes(before, before) == ()


def test_links_in_prose_and_known_names_in_code_link_to_pages() -> None:
    known = {"OrderPlaced": "events/OrderPlaced.v2.html"}
    seen: list[str] = []

    def link(target: str) -> str:
        seen.append(target)
        return "there"

    made = html(
        "## What can *fail*\n\n`OrderPlaced` `placed` [`OrderPlaced`](../decisions/1.md#a) "
        "[out](https://example.com) [here](#what) <b>",
        file="docs/contexts/orders.md",
        link=link,
        name=known.get,
    )
    assert '<h2 id="what-can-fail">' in made
    assert '<a href="events/OrderPlaced.v2.html"><code>OrderPlaced</code></a>' in made
    assert " <code>placed</code> " in made
    assert '<a href="there"><code>OrderPlaced</code></a>' in made
    assert '<a href="https://example.com">out</a>' in made
    assert seen == ["docs/decisions/1.md#a", "docs/contexts/orders.md#what"]


def test_arrows_of_a_workflow_end_at_the_states_of_its_definition() -> None:
    # Graphviz has its own order of edges: here, those of B come before the second one of A.
    definition = {
        "StartAt": "A",
        "States": {
            "A": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.x.sunny", "BooleanEquals": True, "Next": "C"}],
                "Default": "B",
            },
            "B": {"Type": "Task", "Next": "C", "Catch": [{"ErrorEquals": ["Storm"], "Next": "D"}]},
            "C": {"Type": "Succeed"},
            "D": {"Type": "Fail"},
        },
    }
    workflow = WorkflowPage(
        path="Picnic/Workflow",
        context="picnic",
        kind="Express",
        start="A",
        states=workflows.states(definition),
        transitions=workflows.transitions(definition),
        facts=(),
        starters=(),
        alarms=(),
    )
    (graph,) = graphs_of([workflow], lambda state: "")

    assert [
        (arrow.transition.source, arrow.transition.target, arrow.transition.label)
        for arrow in graph.arrows
    ] == [("A", "C", "sunny"), ("A", "B", "otherwise"), ("B", "C", ""), ("B", "D", "Storm")]
    nodes = {node.state.name: node for node in graph.nodes}
    for arrow in graph.arrows:
        x, y = (float(number) for number in arrow.path.rpartition("L")[2].split())
        end = nodes[arrow.transition.target]
        assert abs(x - end.x) <= end.width / 2 + 2, arrow
        assert abs(y - end.y) <= end.height / 2 + 2, arrow


def test_the_map_of_a_context_shows_only_its_own_events(system: System) -> None:
    events = {line.event for line in map_of(system, "checkout").lines}
    assert events == {
        event.name
        for event in system.events.values()
        if any(system.functions[end].context == "checkout" for end in event.consumers)
    }
    whole = map_of(system)
    assert {row.key for card in whole.publishers for row in card.rows} == {*system.events}


def test_grants_show_resources_by_their_paths(system: System) -> None:
    grants = system.functions["Shipping/RequestShipment/Function"].grants
    (schedule,) = [grant for grant in grants if "scheduler:CreateSchedule" in grant.actions]
    assert schedule.resource == (
        "arn:aws:scheduler:REGION:ACCOUNT:schedule/Shipping/Reminders/Group/*"
    )


def test_durations_are_shown_in_readable_units() -> None:
    assert [spoken(seconds) for seconds in (0, 45, 90, 3_600, 1_209_600)] == [
        "0 s",
        "45 s",
        "1 min 30 s",
        "1 h",
        "14 d",
    ]
    assert timed("185 times, 86400 s") == "185 times, 1 d"


def test_the_description_of_an_event_comes_from_its_contexts_page(
    system: System,
) -> None:
    page = (PROJECT / system.prose["orders"].file).read_text(encoding="utf-8")
    assert f"| `OrderExpired` | {system.events['OrderExpired.v1'].when} |" in page


def test_a_dead_letter_queue_shows_the_commands_that_redrive_it(system: System) -> None:
    shown = {path: queue.redrive for path, queue in system.queues.items()}
    for path, commands in shown.items():
        context, consumer = path.split("/")[:2]
        if path.endswith("/Undelivered"):
            assert commands == f'make redrive STAGE=prod ARGS="{context.lower()} {consumer}"'
        elif path.endswith("/DeadLetters") and consumer != "AggregateSales":
            assert f"\nCONTEXT={context.lower()} CONSUMER={consumer}\n" in commands
            assert commands.startswith("STAGE=prod\n")
            assert "aws sqs start-message-move-task" in commands
            assert "RunCheckout" not in commands or consumer == "RunCheckout"
        else:
            assert commands == "", path
    assert len([*filter(None, shown.values())]) > 30


def test_a_page_of_the_runbook_without_a_redrive_gives_no_commands(system: System) -> None:
    page = system.failures["the-relay-lags"]
    assert redrive("Checkout/RunCheckout/DeadLetters", page, preparation(PROJECT)) == ""


def test_the_failures_name_their_alarms_as_the_runbook_does(system: System) -> None:
    for slug, page in system.failures.items():
        said = page.text.strip().partition("\n")[0]
        endings = {path.rpartition("/")[2] for path in re.findall(r"`([^`]+)`", said)}
        shown = {name.rpartition("/")[2] for name in named(system.alarms_for(slug))}
        # A stage has no rules on one kind of bus, and no subscribers on the other.
        assert shown == (endings if shown else set()), slug


def test_alarms_with_one_ending_share_a_name(system: System) -> None:
    names = named(system.alarms_for("a-subscriber-cannot-deliver"))
    assert "…/Subscriber/EventsDropped" in names
    assert named(system.alarms_for("the-api-is-slow")) == ["Backbone/Api/Slow"]


def test_names_break_between_words() -> None:
    assert breakable("Orders/RunCheckout") == "Orders/<wbr>Run<wbr>Checkout"
    assert breakable("<A>/b") == "&lt;A&gt;/<wbr>b"
