"""The console: its map, its records, its commands, and who may use it."""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from cdk_rehearsal import Assembly, Rehearsal, RehearsalError, forked
from cdk_rehearsal.console import Action, Console, Field, Site
from cdk_rehearsal.console.layout import map_of
from cdk_rehearsal.console.map import ApplicationMap
from cdk_rehearsal.console.recording import Recording
from cdk_rehearsal.meter import Record
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Rehearse

MONOTONIC = time.monotonic
CONNECT = socket.socket.connect
"""Of the real world: this process may not reach a server while it rehearses."""

SCRIPT = "<script>document.title = 'hacked'</script>"


@pytest.fixture
def shop(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    """A bus, a rule, a queue with a dead-letter queue, and a function that fails on demand."""
    template.bus("Bus")
    template.queue("Dead")
    template.queue("Orders", dead_letters="Dead", receives=2, VisibilityTimeout=30)
    template.rule("Placed", {"source": ["shop"]}, {"Arn": arn("Orders")})
    template.function("Ship", "def handler(event, context): pass")
    template.mapping("Mapping", arn("Orders"), "Ship")
    template.function("Idle", "def handler(event, context): pass")
    return rehearse()


@pytest.fixture
def console(shop: Rehearsal) -> Iterator[Console]:
    greet = Action("Greet", "Says hello", lambda: {"good": True, "text": f"hello {SCRIPT}"})
    with Console(shop, title="Shop", actions=[greet]) as console:
        yield console


def put(shop: Rehearsal, number: int = 1, **detail: object) -> None:
    body = {"id": f"event-{number}", "correlationid": "order-1", **detail}
    bus = shop.physical_id("Shop/Bus")
    entry = {"Source": "shop", "DetailType": "OrderPlaced", "EventBusName": bus}
    shop.client("events").put_events(Entries=[{**entry, "Detail": json.dumps(body)}])


def connected(port: int, host: str = "127.0.0.1") -> socket.socket:
    connection = socket.socket()
    connection.settimeout(20)
    try:
        CONNECT(connection, (host, port))
    except OSError:
        connection.close()
        raise
    return connection


def client(port: int) -> closing[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port)
    connection.sock = connected(port)
    return closing(connection)


def request(
    console: Console,
    path: str,
    method: str = "GET",
    *,
    body: object = None,
    headers: dict[str, str] | None = None,
    url: str | None = None,
) -> tuple[HTTPResponse, bytes]:
    """Sends a request while the console ticks, as it does between two steps."""
    parts = urlsplit(url or console.url)
    sent = {"Host": parts.netloc, **(headers or {})}
    if method == "POST":
        sent.setdefault("Origin", f"http://{parts.netloc}")
    answered: list[tuple[HTTPResponse, bytes]] = []

    def send() -> None:
        with client(parts.port or 0) as connection:
            text = None if body is None else json.dumps(body)
            connection.request(method, parts.path + path, text, sent)
            response = connection.getresponse()
            answered.append((response, response.read()))

    while_ticking(console, send)
    return answered[0]


def while_ticking(
    console: Console, run: Callable[[], object], step: Callable[[], object] = lambda: None
) -> None:
    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        step()
        console.tick(at_once=True)
        thread.join(0.01)


def command(console: Console, do: str, **arguments: object) -> Any:
    response, body = request(console, "command", "POST", body={"do": do, **arguments})
    assert response.status == 200, body
    answer = json.loads(body)
    assert "error" not in answer, answer
    return answer["value"]


def refused(console: Console, do: str, **arguments: object) -> str:
    _, body = request(console, "command", "POST", body={"do": do, **arguments})
    return str(json.loads(body)["error"])


def get(console: Console, path: str) -> Any:
    # What was recorded before an answer has reached the server then.
    refused(console, "nothing")
    response, body = request(console, path)
    assert response.status == 200, body
    return json.loads(body)


class Stream:
    """A client of the stream, which reads what a browser would."""

    def __init__(self, console: Console, last: str = "") -> None:
        parts = urlsplit(console.url)
        self._console = console
        self._socket = connected(parts.port or 0)
        asked = f"GET {parts.path}stream HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        asked += f"Last-Event-ID: {last}\r\n" if last else ""
        self._socket.sendall(f"{asked}\r\n".encode())
        self._file = self._socket.makefile("rb")
        self.last = last

    def until(self, done: Callable[[list[list[float]]], bool]) -> list[list[float]]:
        """Returns the rows that have come, once there are enough."""
        rows: list[list[float]] = []

        def read() -> None:
            end = MONOTONIC() + 20
            while not done(rows) and MONOTONIC() < end:
                line = self._file.readline()
                if line.startswith(b"id: "):
                    self.last = line[4:].decode().strip()
                if line.startswith(b"data: ") and b'"rows"' in line:
                    flat = json.loads(line[6:])["rows"]
                    rows.extend(flat[at : at + 6] for at in range(0, len(flat), 6))

        while_ticking(self._console, read)
        assert done(rows), rows
        return rows

    def rest(self) -> bytes:
        """Returns what comes until the server ends."""
        return self._file.read()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class TestMap:
    def test_nodes_follow_the_way_of_a_message(self, shop: Rehearsal) -> None:
        found = map_of(shop.assembly)

        assert chains(found) == [["Orders", "Ship"], ["Idle"]]
        assert [found.nodes[place].name for place in found.shared] == ["Bus"]

    def test_a_dead_letter_queue_is_beside_its_source(self, shop: Rehearsal) -> None:
        found = map_of(shop.assembly)

        (lane,) = (lane for lane in found.groups[0].lanes if lane.dead)
        assert [found.nodes[place].name for place in lane.dead] == ["Dead"]
        assert [found.nodes[place].name for place in lane.nodes] == ["Orders", "Ship"]

    def test_an_edge_of_a_rule_begins_at_its_bus(self, shop: Rehearsal) -> None:
        found = map_of(shop.assembly)

        (link,) = (link for link in found.links if link.kind == "rule")
        ends = [found.nodes[place].path for place in (link.source, link.target)]
        assert ends == ["Shop/Bus", "Shop/Orders"]
        assert link.site == ("Shop/Placed", "Shop/Orders")

    def test_an_edge_of_a_subscriber_begins_at_its_bus(self, template: Cloud) -> None:
        template.add("Bus", "AWS::EventsV2::EventBus", Name="bus")
        template.queue("Orders")
        template.role("Role")
        template.add(
            "Placed",
            "AWS::EventsV2::Subscriber",
            EventBusArn=arn("Bus", "EventBusArn"),
            InvokeConfiguration={"TargetArn": arn("Orders"), "RoleArn": arn("Role")},
        )
        found = map_of(Assembly(template.write()))

        (link,) = found.links
        ends = [found.nodes[place].path for place in (link.source, link.target)]
        assert ends == ["Shop/Bus", "Shop/Orders"]

    def test_a_circle_is_one_chain(self, template: Cloud, rehearse: Rehearse) -> None:
        template.queue("A")
        template.function("Again", "def handler(event, context): pass")
        template.mapping("Mapping", arn("A"), "Again")
        assert chains(map_of(rehearse().assembly)) == [["A", "Again"]]


def chains(found: ApplicationMap) -> list[list[str]]:
    lanes = (lane for group in found.groups for lane in group.lanes)
    return [[found.nodes[place].name for place in lane.nodes] for lane in lanes]


class TestRecording:
    def test_what_happened_before_its_start_is_in_traces_and_moves_nothing_on_the_map(
        self, shop: Rehearsal
    ) -> None:
        recording = Recording(map_of(shop.assembly), 1000.0)
        detail = {"id": "event-1", "correlationid": "order-1"}
        published = {"event": {"id": "bus-1", "detail-type": "OrderPlaced", "detail": detail}}
        for moment in (900.0, 1100.0):
            record = Record("published", moment, "shop", "Shop/Bus", published)
            recording.add(msgspec.json.encode(record))
        trace = recording.trace("order-1")
        assert trace is not None
        assert [step["start"] for step in trace["steps"]] == [-100_000, 100_000]
        assert recording.length == 1

    def test_everything_that_happens_reaches_the_page(
        self, shop: Rehearsal, console: Console
    ) -> None:
        put(shop)
        shop.run_until_idle()
        stream = Stream(console)
        rows = stream.until(lambda rows: len(rows) >= 4)
        stream.close()

        kinds = get(console, "map")["kinds"]
        passed = [kinds[int(row[1])] for row in rows]
        counted = {kind: passed.count(kind) for kind in set(passed)}
        assert counted == {"published": 1, "delivery": 2, "invocation": 1}

    def test_the_depth_of_a_queue_is_sampled_when_it_changes(
        self, shop: Rehearsal, console: Console
    ) -> None:
        queue = shop.physical_id("Shop/Dead")
        for _ in range(2):
            shop.client("sqs").send_message(QueueUrl=queue, MessageBody="one")
            console.tick(at_once=True)
        shop.run_for(60)
        console.tick(at_once=True)
        shop.client("sqs").purge_queue(QueueUrl=queue)
        stream = Stream(console)
        rows = stream.until(lambda rows: len(rows) >= 3)
        stream.close()

        place = [node.path for node in map_of(shop.assembly).nodes].index("Shop/Dead")
        assert [row[2] for row in rows] == [place] * 3
        assert [row[4] for row in rows] == [1, 2, 0]

    def test_nothing_is_missing_after_a_reconnect(self, shop: Rehearsal, console: Console) -> None:
        put(shop, 1)
        shop.run_until_idle()
        first = Stream(console)
        before = first.until(lambda rows: len(rows) >= 4)
        first.close()
        put(shop, 2)
        put(shop, 3)
        shop.run_until_idle()
        again = Stream(console, first.last)
        after = again.until(lambda rows: len(rows) >= 6)
        again.close()
        whole = Stream(console)
        everything = whole.until(lambda rows: len(rows) >= len(before) + len(after))
        whole.close()

        assert [*before, *after] == everything

    def test_a_trace_has_all_steps_of_an_event(self, shop: Rehearsal, console: Console) -> None:
        put(shop, 1, order_id="o-17")
        shop.run_until_idle()
        trace = get(console, "trace?of=o-17")

        assert [event["id"] for event in trace["events"]] == ["event-1"]
        steps = [(step["kind"], step["source"], step["target"]) for step in trace["steps"]]
        assert sorted(steps) == [
            ("delivery", "Shop/Placed", "Shop/Orders"),
            ("invocation", "Shop/Orders", "Shop/Ship"),
            ("published", "outside", "Shop/Bus"),
        ]

    def test_a_failed_handler_is_one_step_of_its_trace(
        self, shop: Rehearsal, console: Console
    ) -> None:
        shop.faults.fail("Shop/Ship")
        put(shop, 1)
        shop.run_until_idle()
        trace = get(console, "trace?of=order-1")

        steps = [(step["kind"], step["outcome"]) for step in trace["steps"]]
        assert steps[2:] == [("invocation", 1), ("invocation", 0)]

    def test_a_trace_is_found_by_any_id_in_its_events(
        self, shop: Rehearsal, console: Console
    ) -> None:
        put(shop, 1, data={"order_id": "o-17", "customer": {"customerId": "c-4"}}, total=17)
        put(shop, 2, correlationid="another", order_id="o-18")
        shop.run_until_idle()

        for text in ("o-17", "event-1", "order-1", "c-4", "17", "O-17"):
            (found,) = get(console, f"find?text={text}")
            assert found["correlation"] == "order-1", text

    def test_an_unknown_id_has_no_trace(self, console: Console) -> None:
        assert get(console, "trace?of=nothing") is None

    def test_an_order_with_several_correlation_ids_is_one_trace(
        self, shop: Rehearsal, console: Console
    ) -> None:
        put(shop, 1, order_id="o-17")
        put(shop, 2, correlationid="return-1", order_id="o-17")
        put(shop, 3, correlationid="another", order_id="o-18")
        shop.run_until_idle()

        whole = get(console, "trace?of=o-17")
        assert whole["correlations"] == ["order-1", "return-1"]
        assert [event["id"] for event in whole["events"]] == ["event-1", "event-2"]
        part = get(console, "trace?of=return-1")
        assert [event["id"] for event in part["events"]] == ["event-2"]

    def test_a_batch_may_have_many_events(self, shop: Rehearsal, console: Console) -> None:
        put(shop, 1)
        put(shop, 2)
        shop.run_until_idle()
        trace = get(console, "trace?of=order-1")

        handled = [step["event"] for step in trace["steps"] if step["kind"] == "invocation"]
        assert len(trace["events"]) == 2
        assert handled


def post_viewer(console: Console) -> None:
    """Lets the console know that somebody looks at the page."""
    console._commands.carry_out({"do": "viewers", "number": 1})


class TestBill:
    def test_nothing_is_metered_before_the_page_is_looked_at(
        self, shop: Rehearsal, console: Console
    ) -> None:
        assert "nothing is metered" in refused(console, "bill")
        assert shop._core.watchers == []
        for _ in range(2):
            post_viewer(console)
        assert len(shop._core.watchers) == 1

    def test_it_grows_with_use_and_with_time_by_service_and_by_context(
        self, shop: Rehearsal, console: Console
    ) -> None:
        post_viewer(console)
        bills = [command(console, "bill")]
        put(shop)
        shop.run_until_idle()
        bills.append(command(console, "bill"))
        shop.run_for(3600)
        bills.append(command(console, "bill"))

        begun, used, later = bills
        assert begun["whole"]
        assert begun["usd"] < used["usd"] < later["usd"]
        names = {each["name"] for each in used["services"]} - {e["name"] for e in begun["services"]}
        assert {"EventBridge", "Lambda"} <= names
        assert {each["name"] for each in used["contexts"]} == {"Shop", "outside"}
        for each in bills:
            for groups in (each["services"], each["contexts"]):
                assert sum(group["usd"] for group in groups) == pytest.approx(each["usd"])
                for group in groups:
                    parts = sum(part["usd"] for part in group["parts"])
                    assert parts == pytest.approx(group["usd"])
        assert later["region"] == "us-east-1"
        assert later["seconds"] == pytest.approx(shop.clock.now() - later["since"])

    def test_uses_without_a_price_are_named_and_what_came_before_is_not_counted(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        template.add("Bus", "AWS::EventsV2::EventBus", Name="bus")
        template.add("Secret", "AWS::SecretsManager::Secret", SecretString="s")
        shop = rehearse()
        event = {"Source": "shop", "DetailType": "Placed", "Detail": "{}"}

        def publish() -> None:
            bus = shop.physical_id("Shop/Bus")
            shop.client("eventbridgev2").put_events(EventBusArn=bus, Entries=[event])

        publish()
        with Console(shop, title="Shop") as console:
            post_viewer(console)
            assert command(console, "bill")["unpriced"] == {}
            publish()
            bill = command(console, "bill")
            shop.run_for(3600)
            later = command(console, "bill")
        assert not bill["whole"]
        assert later["standing"] == pytest.approx(0.40 / 730, rel=0.01)
        assert later["usd"] == pytest.approx(later["used"] + later["standing"])
        assert "Secrets Manager" in {each["name"] for each in later["services"]}
        assert bill["unpriced"]["custom_bus_kb_in"] == 1


def test_a_page_changes_nothing(shop: Rehearsal) -> None:
    """Of two runs in forks of one state, one has a page with a viewer."""

    def run(*, page: bool) -> list[str]:
        with ExitStack() as stack:
            console = stack.enter_context(Console(shop, title="Shop")) if page else None
            for number in range(20):
                put(shop, number)
                shop.run_for(0.5)
                if console:
                    post_viewer(console)
                    assert command(console, "bill")["usd"] > 0
                    console.tick(at_once=True)
        shop.run_until_idle()
        return [str(record) for record in shop.meter.records]

    plain, watched = forked([partial(run, page=False), partial(run, page=True)], at_once=1)
    assert plain.error is None
    assert watched.error is None
    assert plain.value == watched.value


def test_the_beginning_of_a_recording_is_plain_numbers(shop: Rehearsal, console: Console) -> None:
    put(shop)
    shop.run_until_idle()
    recorded = get(console, "map")["recorded"]
    _, body = request(console, f"rows?to={recorded['row']}")
    stream = Stream(console)
    rows = stream.until(lambda rows: len(rows) >= recorded["row"])
    stream.close()

    numbers = array("d", body).tolist()
    assert recorded["types"] == ["OrderPlaced"]
    assert numbers == [number for row in rows[: recorded["row"]] for number in row]
    assert request(console, "rows?to=all")[0].status == 400


def test_invocations_at_once_are_shown(template: Cloud, rehearse: Rehearse) -> None:
    template.function("Slow", "import time\ndef handler(event, context): time.sleep(2)", Timeout=5)
    shop = rehearse()
    with Console(shop, title="Shop") as console:
        for _ in range(3):
            shop.spawn(shop.invoke, "Shop/Slow", {})
        shop.run_for(1)
        console.tick(at_once=True)
        shop.run_for(10)
        about = get(console, "map")
        rows = array("d", request(console, f"rows?to={about['recorded']['row']}")[1])
    busy = about["kinds"].index("busy")
    found = [rows[at + 4] for at in range(0, len(rows), 6) if rows[at + 1] == busy]
    assert found == [3, 0]


class TestTime:
    def test_the_rehearsal_waits_while_the_viewer_pauses(
        self, shop: Rehearsal, console: Console
    ) -> None:
        def order_later() -> None:
            shop.scheduler.sleep(3600)
            put(shop)

        shop.spawn(order_later)
        seen: list[float] = []

        def view() -> None:
            post(console, {"do": "pause"})
            seen.append(shop.clock.now())
            threading.Event().wait(0.3)
            seen.append(shop.clock.now())
            seen.append(post(console, {"do": "step"})["value"])
            post(console, {"do": "continue"})
            threading.Event().wait(0.3)

        while_ticking(console, view, lambda: shop.run_for(0.001))
        assert seen[0] == seen[1] < shop.clock.now()
        assert seen[2] > 0
        assert not console.paused
        assert console.changes == 1

    def test_a_step_ends_with_something_that_the_page_shows(
        self, shop: Rehearsal, console: Console
    ) -> None:
        unseen = {"service": "sqs", "operation": "SendMessage", "error": None}
        shop.scheduler.call_later(1, lambda: shop.meter.add("call", "Shop/Ship", "Shop", **unseen))
        shop.scheduler.call_later(2, lambda: put(shop))

        assert command(console, "step") > 1
        assert shop.meter.of("published")

    def test_nobody_stays_paused_when_the_last_viewer_leaves(self, console: Console) -> None:
        stream = Stream(console)
        stream.until(lambda _: console.viewers == 1)

        def leave() -> None:
            post(console, {"do": "pause"})
            stream.close()

        while_ticking(console, leave)
        # `tick` would not return if it still was paused.
        while console.viewers:
            console.tick(at_once=True)
        assert not console.paused

    def test_the_pace_is_what_the_viewer_wants(self, console: Console) -> None:
        command(console, "pace", speed=4)
        command(console, "pace", skips_quiet=False)

        assert (console.speed, console.skips_quiet, console.changes) == (4.0, False, 2)
        assert "is not between" in refused(console, "pace", speed=0)
        assert console.speed == 4.0


def post(console: Console, body: dict[str, object]) -> Any:
    """Sends a command without ticking: in a thread of its own."""
    parts = urlsplit(console.url)
    with client(parts.port or 0) as connection:
        origin = {"Origin": f"http://{parts.netloc}"}
        connection.request("POST", parts.path + "command", json.dumps(body), origin)
        return json.loads(connection.getresponse().read())


EDGE = {"kind": "queue", "source": "Shop/Orders", "target": "Shop/Ship"}


class TestFaults:
    def test_the_sites_of_a_node_have_faults_that_can_act_there(self, console: Console) -> None:
        sites = command(console, "sites", path="Shop/Ship")
        site = sites[0]

        assert {name: site[name] for name in EDGE} == EDGE
        assert {"raises", "dies", "undeleted"} <= {*site["faults"]}
        assert not {"duplicate", "impostor"} & {*site["faults"]}

    def test_a_fault_acts_until_it_is_healed(self, shop: Rehearsal, console: Console) -> None:
        number = command(console, "inject", fault="raises", **EDGE, forever=True)
        put(shop)
        shop.run_until_idle()
        assert shop.queue_depths() == {"Shop/Dead": 1, "Shop/Orders": 0}

        command(console, "heal", number=number)
        assert command(console, "redrive", path="Shop/Dead") == {"moved": 1}
        shop.run_until_idle()
        assert shop.queue_depths() == {"Shop/Dead": 0, "Shop/Orders": 0}

    def test_a_fault_that_cannot_act_there_is_refused(self, console: Console) -> None:
        assert "no service delivers here" in refused(console, "inject", fault="duplicate", **EDGE)
        assert "there is no fault 'none'" in refused(console, "inject", fault="none", **EDGE)

    def test_all_faults_are_healed_at_once(self, shop: Rehearsal, console: Console) -> None:
        for fault in ("raises", "throttled"):
            command(console, "inject", fault=fault, **EDGE)
        command(console, "heal")
        assert shop.faults.left() == []


@pytest.fixture
def parked(shop: Rehearsal, console: Console) -> list[str]:
    """The ids of two messages in the dead-letter queue, whose cause is healed."""
    number = command(console, "inject", fault="raises", **EDGE, forever=True)
    put(shop, 1)
    put(shop, 2)
    shop.run_until_idle()
    command(console, "heal", number=number)
    return [each["message_id"] for each in shop.messages("Shop/Dead")]


class TestDeadLetters:
    def test_messages_name_their_source(self, console: Console, parked: list[str]) -> None:
        letters = command(console, "letters", path="Shop/Dead")

        assert letters["number"] == 2
        assert [each["message_id"] for each in letters["messages"]] == parked
        assert {each["source"] for each in letters["messages"]} == {"Shop/Orders"}

    def test_one_message_is_redriven(
        self, shop: Rehearsal, console: Console, parked: list[str]
    ) -> None:
        assert command(console, "redrive", path="Shop/Dead", only=parked[:1]) == {"moved": 1}
        assert [each["message_id"] for each in shop.messages("Shop/Dead")] == parked[1:]

    def test_a_rehearsal_of_the_redrive_changes_nothing(
        self, shop: Rehearsal, console: Console, parked: list[str]
    ) -> None:
        records, now = len(shop.meter.records), shop.clock.now()
        forecast = command(console, "rehearse", path="Shop/Dead")

        assert (forecast["moved"], forecast["back"], forecast["errors"]) == (2, 0, {})
        assert [each["message_id"] for each in shop.messages("Shop/Dead")] == parked
        assert (len(shop.meter.records), shop.clock.now()) == (records, now)

    def test_a_rehearsal_shows_that_the_cause_is_still_there(
        self, shop: Rehearsal, console: Console, parked: list[str]
    ) -> None:
        command(console, "inject", fault="raises", **EDGE, forever=True)
        forecast = command(console, "rehearse", path="Shop/Dead", only=parked[:1])

        assert (forecast["moved"], forecast["back"]) == (1, 1)
        assert forecast["errors"] == {"InjectedFault": 2}

    def test_a_message_is_discarded_with_a_reason(
        self, shop: Rehearsal, console: Console, parked: list[str]
    ) -> None:
        assert "only with a reason" in refused(
            console, "discard", path="Shop/Dead", message_id=parked[0], reason=" "
        )
        command(console, "discard", path="Shop/Dead", message_id=parked[0], reason="a test")

        assert [each["message_id"] for each in shop.messages("Shop/Dead")] == parked[1:]
        (record,) = shop.meter.of("discarded", source="Shop/Dead")
        assert record.detail["reason"] == "a test"
        assert record.detail["message"]["message_id"] == parked[0]

    def test_only_a_dead_letter_queue_can_be_redriven(self, console: Console) -> None:
        assert "no dead-letter queue" in refused(console, "redrive", path="Shop/Orders")
        assert "no dead-letter queue" in refused(
            console, "discard", path="Shop/Orders", message_id="1", reason="because"
        )


class TestWhatIf:
    def test_an_injected_fault_makes_the_difference(
        self, shop: Rehearsal, console: Console
    ) -> None:
        def order_later() -> None:
            shop.scheduler.sleep(5)
            put(shop)

        shop.spawn(order_later)
        records, now = len(shop.meter.records), shop.clock.now()
        fault = {"fault": "raises", **EDGE, "forever": True}
        found = command(console, "what_if", seconds=120, fault=fault)

        plain, changed = found["first"]
        assert (plain[1:4], changed[1:4]) == (
            ["invocation", "Shop/Orders", "Shop/Ship"],
            ["fault", "", "Shop/Ship"],
        )
        assert 5 <= plain[0] < 10
        assert found["dead"] == [["Shop/Dead", 0, 1]]
        assert ["published OrderPlaced", 1, 1] not in found["counts"]
        assert (len(shop.meter.records), shop.clock.now()) == (records, now)
        assert shop.faults.left() == []

    def test_branches_start_from_a_moment_that_was_kept(
        self, shop: Rehearsal, console: Console
    ) -> None:
        put(shop)
        number = command(console, "keep", says="before")
        shop.run_until_idle()
        fault = {"fault": "raises", **EDGE, "forever": True}
        now = command(console, "what_if", seconds=120, fault=fault)
        then = command(console, "what_if", seconds=120, moment=number, fault=fault)

        assert now["records"] == [0, 0]
        assert now["first"] is None
        assert then["dead"] == [["Shop/Dead", 0, 1]]
        assert console._commands.moments()[0]["says"] == "before"

    def test_a_moment_is_kept_before_a_fault_while_somebody_watches(
        self, shop: Rehearsal, console: Console
    ) -> None:
        stream = Stream(console)
        stream.until(lambda _: console.viewers == 1)
        for _ in range(4):
            command(console, "inject", fault="raises", **EDGE)
        stream.close()

        moments = console._commands.moments()
        assert [each["says"] for each in moments] == ["before raises at Shop/Ship"] * 3

    @pytest.mark.parametrize(
        "chance",
        [
            lambda shop: shop.scheduler.random.random(),
            lambda _: random.random(),
            lambda _: os.urandom(1)[0] / 256,
        ],
        ids=["of the rehearsal", "of Python", "of the system"],
    )
    def test_another_seed_makes_another_run(
        self, shop: Rehearsal, console: Console, chance: Callable[[Rehearsal], float]
    ) -> None:
        def order_sometime() -> None:
            shop.scheduler.sleep(1)
            shop.scheduler.sleep(chance(shop))
            put(shop)

        shop.spawn(order_sometime)
        same = command(console, "what_if", seconds=60, heal=True)
        other = command(console, "what_if", seconds=60, seed=5)

        assert same["first"] is None
        assert same["records"][0] == same["records"][1] > 0
        assert other["first"] is not None

    def test_a_healed_fault_brings_no_dead_letter(self, shop: Rehearsal, console: Console) -> None:
        command(console, "inject", fault="raises", **EDGE, forever=True)
        put(shop)
        assert command(console, "what_if", seconds=120, heal=True)["dead"] == [["Shop/Dead", 1, 0]]
        assert shop.faults.left()

    def test_the_branches_are_judged(self, shop: Rehearsal) -> None:
        def judge() -> dict[str, object]:
            dead = len(shop.messages("Shop/Dead"))
            return {"good": not dead, "text": f"{dead} dead"}

        put(shop)
        judging = Action("Audit", "", judge, judges=True)
        with Console(shop, title="Shop", actions=[judging]) as console:
            fault = {"fault": "raises", **EDGE, "forever": True}
            found = command(console, "what_if", seconds=120, fault=fault)
        assert found["verdicts"] == [["Audit", True, "0 dead"], ["Audit", False, "1 dead"]]

    def test_what_makes_no_sense_is_refused(self, console: Console) -> None:
        assert "would be the same" in refused(console, "what_if", seconds=60)
        assert "not between" in refused(console, "what_if", seconds=0, seed=1)
        assert "no longer kept" in refused(console, "what_if", seconds=60, seed=1, moment=7)
        fault = {"fault": "duplicate", **EDGE}
        assert "no service delivers here" in refused(console, "what_if", seconds=60, fault=fault)


class TestAccess:
    def test_the_page_is_served_with_the_token(self, console: Console) -> None:
        response, body = request(console, "")
        assert response.status == 200
        assert b'<div id="console">' in body

    def test_nothing_is_served_without_the_token(self, console: Console) -> None:
        root = f"http://{urlsplit(console.url).netloc}/"
        for token in ("", "guess/", f"{console.url.split('/')[3][:-1]}/", "?token=guess"):
            for path in ("", "map", "stream", "find?text=a", "console.js"):
                assert request(console, path, url=root + token)[0].status == 403, (token, path)

    def test_another_host_is_refused(self, console: Console) -> None:
        for host in ("example.com", "127.0.0.1", "127.0.0.1.example.com:80"):
            assert request(console, "map", headers={"Host": host})[0].status == 403, host

    def test_another_origin_is_refused(self, console: Console) -> None:
        for origin in ("http://example.com", "null", "http://127.0.0.1:1", ""):
            for method, path in (("GET", "map"), ("POST", "command")):
                response, _ = request(
                    console, path, method, body={"do": "pause"}, headers={"Origin": origin}
                )
                assert response.status == 403, (origin, method)
        assert not console.paused

    def test_a_command_without_an_origin_is_refused(self, console: Console) -> None:
        parts = urlsplit(console.url)
        with client(parts.port or 0) as connection:
            connection.request("POST", parts.path + "command", "{}")
            assert connection.getresponse().status == 403

    def test_every_response_has_the_headers_of_a_page_that_trusts_nobody(
        self, console: Console
    ) -> None:
        pages = [request(console, path) for path in ("", "map", "nothing")]
        for response, _ in (*pages, request(console, "map", headers={"Host": "example.com"})):
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Frame-Options"] == "DENY"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Referrer-Policy"] == "no-referrer"

    def test_it_listens_only_on_the_loopback_address(self, console: Console) -> None:
        assert urlsplit(console.url).hostname == "127.0.0.1"
        port = urlsplit(console.url).port or 0
        with pytest.raises(ConnectionRefusedError):
            connected(port, outer_address())

    def test_a_wrong_command_is_an_error(self, console: Console) -> None:
        assert "there is no command 'nothing'" in refused(console, "nothing")
        assert "wrong arguments" in refused(console, "pace", speed="fast")
        assert "wrong arguments" in refused(console, "redrive")
        assert "there is no action 'Destroy'" in refused(console, "act", name="Destroy")

    def test_a_command_that_is_too_large_is_refused(self, console: Console) -> None:
        response, _ = request(console, "command", "POST", body={"do": "a" * 100_000})
        assert response.status == 413


def outer_address() -> str:
    """An address of this machine that is not the one to which the page is bound."""
    return "127.0.0.2" if sys.platform == "linux" else "::1"


class TestSite:
    @pytest.fixture
    def built(self, tmp_path: Path) -> Path:
        folder = tmp_path / "site"
        (folder / "functions").mkdir(parents=True)
        (folder / "functions/ship.html").write_text("<script src='../a.js'></script>ship")
        (folder / "pages.json").write_text('{"Shop/Ship": "functions/ship.html"}')
        (tmp_path / "secret.txt").write_text("secret")
        return folder

    def test_pages_about_the_application_are_served_and_send_nothing(
        self, shop: Rehearsal, built: Path
    ) -> None:
        with Console(shop, title="Shop", site=Site(built, "make it")) as console:
            about = get(console, "map")["about"]
            response, body = request(console, f"site/{about['pages']['Shop/Ship']}")
            policy = response.headers["Content-Security-Policy"]
            assert (response.status, body[-4:]) == (200, b"ship")
            assert "default-src 'none'" in policy
            assert "connect-src" not in policy
            assert response.headers["X-Frame-Options"] == "DENY"
            other = request(console, "map")[0].headers["Content-Security-Policy"]
            assert "require-trusted-types-for" in other

    def test_nothing_outside_the_folder_is_served(self, shop: Rehearsal, built: Path) -> None:
        (built / "link.txt").symlink_to(built.parent / "secret.txt")
        with Console(shop, title="Shop", site=Site(built, "make it")) as console:
            for path in ("../secret.txt", "%2e%2e/secret.txt", "//etc/passwd", "link.txt", ""):
                response, body = request(console, f"site/{path}")
                assert response.status in {404, 405}, path
                assert b"secret" not in body

    def test_without_a_built_site_the_page_says_how_to_build_it(
        self, shop: Rehearsal, tmp_path: Path
    ) -> None:
        with Console(shop, title="Shop", site=Site(tmp_path / "none", "make it")) as console:
            about = get(console, "map")["about"]
            assert (about["pages"], about["build"]) == ({}, "make it")
            assert request(console, "site/index.html")[0].status == 404

    def test_the_runbook_says_what_to_do_about_an_alarm(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        template.add(
            "Alarm", "AWS::CloudWatch::CompositeAlarm", AlarmRule="TRUE", AlarmDescription="see #1"
        )
        with Console(rehearse(), title="Shop", runbook=lambda says: f"page {says[-2:]}") as console:
            (alarm,) = command(console, "alarms")
            assert (alarm["path"], alarm["state"]) == ("Shop/Alarm", "ALARM")
            assert command(console, "runbook", path="Shop/Alarm") == "page #1"


class TestPlugIn:
    def test_a_form_takes_what_fits_its_fields(self, shop: Rehearsal) -> None:
        fields = [
            Field("who", "Who", "you", lambda: ["you", "me"]),
            Field("how", "How", "once", lambda: ["once", "twice"], "choice"),
            Field("often", "How often", "1", kind="number"),
        ]
        said: list[dict[str, object]] = []

        def run(**values: object) -> dict[str, object]:
            said.append(values)
            return {"good": True, "text": "done"}

        action = Action("Greet", "Says hello", run, fields, role="Guest")
        with Console(shop, title="Shop", actions=[action]) as console:
            (form,) = command(console, "forms")
            assert [each["options"] for each in form["fields"]] == [
                ["you", "me"],
                ["once", "twice"],
                [],
            ]
            command(console, "act", name="Greet", values={"who": "all", "often": "3"})
            for values, problem in (
                ({"how": "never"}, "How 'never' is none of once, twice"),
                ({"often": "1.5"}, "How often '1.5' is no whole number"),
                ({"when": "now"}, "Greet has no field when"),
            ):
                assert problem in refused(console, "act", name="Greet", values=values)
        assert said == [{"who": "all", "how": "once", "often": 3}]

    def test_an_action_that_fails_ends_nothing(self, shop: Rehearsal) -> None:
        def fail() -> dict[str, object]:
            raise AssertionError("503 instead of 200")

        with Console(shop, title="Shop", actions=[Action("Greet", "", fail)]) as console:
            said = refused(console, "act", name="Greet")
            assert said == "Greet has failed: AssertionError: 503 instead of 200"
            assert command(console, "pace", speed=1) is None

    def test_an_action_returns_its_result(self, console: Console) -> None:
        assert command(console, "act", name="Greet")["text"] == f"hello {SCRIPT}"

    def test_the_server_ends_with_the_console(self, shop: Rehearsal) -> None:
        now = shop.clock.now()
        with Console(shop, title="Shop") as console:
            port = urlsplit(console.url).port or 0
        assert shop.clock.now() == now
        with pytest.raises(ConnectionRefusedError):
            connected(port)

    def test_an_open_page_ends_with_the_console_and_has_everything(
        self, shop: Rehearsal, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with Console(shop, title="Shop") as console:
            stream = Stream(console)
            stream.until(lambda rows: True)
            put(shop)
            shop.run_until_idle()
        rest = stream.rest()
        stream.close()
        assert b'"rows"' in rest
        assert capfd.readouterr().err == ""

    def test_a_used_port_is_an_error(self, shop: Rehearsal) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(RehearsalError, match="the console cannot be served"):
                Console(shop, title="Shop", port=port).__enter__()
