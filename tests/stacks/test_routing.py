"""Every published event reaches its consumers through the real patterns, and nothing else does."""

import copy
import pickle
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from cdk_rehearsal.topology import PublishedEvent, RoutingFinding
from tests.support.routing import proof, published, publishers

PLACED = "OrderPlaced.v2"
CHECKOUT = "Checkout/RunCheckout"
EMAIL = "Notifications/SendEmail/Queue/NotificationsRequestsTopicABDDC4BC"


@pytest.fixture(scope="module")
def pickled(classic: Assembly) -> bytes:
    """Templates with rules: their patterns are easy to change. See also test_custom_bus.py."""
    return pickle.dumps(classic)


@pytest.fixture
def scratch(pickled: bytes) -> Assembly:
    """A copy of the templates that a test may break."""
    found: Assembly = pickle.loads(pickled)
    return found


def said(findings: Iterable[RoutingFinding]) -> str:
    return "\n".join(map(str, findings))


def pattern_of(shop: Assembly, path: str) -> dict[str, Any]:
    """The mutable pattern of a rule or filter policy of a subscription."""
    properties = shop.at(path).properties
    pattern: dict[str, Any] = properties.get("FilterPolicy") or properties["EventPattern"]
    return pattern


def put_events(shop: Assembly, relay: str) -> dict[str, Any]:
    """The mutable statement that allows a relay to put events on the bus."""
    policy = shop.at(f"{relay}Role/DefaultPolicy").properties["PolicyDocument"]
    (statement,) = [s for s in policy["Statement"] if s["Action"] == "events:PutEvents"]
    found: dict[str, Any] = statement
    return found


def event(name: str) -> PublishedEvent:
    (found,) = [each for each in published() if each.name == name]
    return found


def others(name: str) -> list[PublishedEvent]:
    return [each for each in published() if each.name != name]


def test_every_event_reaches_its_consumers_and_no_pattern_or_grant_is_wrong(shop: Assembly) -> None:
    examination = proof(shop)

    assert said(examination.findings()) == ""
    assert examination.consumers("OrderConfirmed.v2") == [
        "Analytics/AggregateSales/Function",
        "Notifications/AddressCustomer/Function",
        "Returns/KeepOrder/Function",
        "Shipping/RequestShipment/Function",
    ]
    # Through relay, stream, bus, topic and queue.
    assert "Notifications/SendSms/Function" in examination.consumers("NotificationRequested.v1")


def test_a_consumer_of_all_events_is_no_consumer_by_name(scratch: Assembly) -> None:
    pattern = pattern_of(scratch, "Analytics/Activity/Rule")
    pattern.clear()
    pattern["source"] = [{"prefix": "orderflow."}]
    examination = proof(scratch)
    counted = examination.consumers("StockDepleted.v1", by_name=False)

    assert counted == ["Analytics/AggregateSales/Function"]
    assert examination.consumers("StockDepleted.v1") == []


class TestDeadPatterns:
    @pytest.mark.parametrize(
        ("path", "field", "value", "message"),
        [
            pytest.param(
                f"{CHECKOUT}/Rule",
                "detail-type",
                ["OrderPlacd.v2"],
                "detail-type 'OrderPlacd.v2' is that of no event that gets here; "
                "did you mean OrderPlaced.v2?",
                id="a misspelt type",
            ),
            pytest.param(
                "Notifications/AddressCustomer/Rule",
                "detail-type",
                ["OrderPlaced.v2", "OrderCanceled.v1"],
                "'OrderCanceled.v1' is that of no event that gets here; "
                "did you mean OrderCancelled.v1?",
                id="a misspelt type beside good ones",
            ),
            pytest.param(
                f"{CHECKOUT}/Rule",
                "source",
                ["orderflow.order"],
                "source 'orderflow.order' is that of no event that gets here; "
                "did you mean orderflow.orders?",
                id="a misspelt source",
            ),
            pytest.param(
                f"{CHECKOUT}/Rule",
                "source",
                ["orderflow.payments"],
                "no event that gets here matches all of its pattern",
                id="the source of another event",
            ),
            pytest.param(
                f"{CHECKOUT}/Rule",
                "source",
                ["orderflow.orders", "orderflow.payments"],
                "source 'orderflow.payments' never comes together with the rest of the pattern",
                id="the source of another event beside the right one",
            ),
            pytest.param(
                f"{CHECKOUT}/Rule",
                "detail",
                {"data": {"total": [{"numeric": [">", 0]}]}},
                "there is no detail.data.total in OrderPlaced.v2; "
                "did you mean detail.data.total_minor?",
                id="a misspelt field",
            ),
            pytest.param(
                f"{CHECKOUT}/Rule",
                "detail",
                {"data": {"total_minor": [{"numeric": ["<", 0]}]}},
                "detail.data.total_minor of OrderPlaced.v2 is never {'numeric': ['<', 0]}",
                id="a number out of the field's range",
            ),
            pytest.param(
                f"{CHECKOUT}/Rule",
                "detail",
                {"data": {"lines": {"sku": ["a blank is in no SKU"]}}},
                "detail.data.lines.sku of OrderPlaced.v2 is never 'a blank is in no SKU'",
                id="a text that the field's pattern excludes",
            ),
            pytest.param(
                f"{CHECKOUT}/Rule",
                "detail",
                {"data": {"customer_id": [{"exists": False}]}},
                "detail.data.customer_id of OrderPlaced.v2 is never {'exists': False}",
                id="the absence of what is always there",
            ),
            pytest.param(
                EMAIL,
                "detail",
                {"data": {"chanels": ["email"]}},
                "there is no detail.data.chanels in NotificationRequested.v1; "
                "did you mean detail.data.channels?",
                id="a misspelt field in a filter policy",
            ),
            pytest.param(
                EMAIL,
                "detail",
                {"data": {"channels": ["fax"]}},
                "detail.data.channels of NotificationRequested.v1 is never 'fax': "
                "it is one of 'email', 'sms', 'webhook'",
                id="a value that the field cannot have in a filter policy",
            ),
            pytest.param(
                "Backbone/Bus/Archive/Archive",
                "source",
                [{"prefix": "orderflows."}],
                "source {'prefix': 'orderflows.'} is that of no event that gets here",
                id="an archive of nothing",
            ),
            pytest.param(
                f"{CHECKOUT}/Rule",
                "detail.data.currenzy",
                ["EUR"],
                f"there is no detail.data.currenzy in {PLACED}; did you mean detail.data.currency?",
                id="a misspelt name with dots",
            ),
        ],
    )
    def test_a_dead_pattern_is_reported_with_a_remedy(
        self, scratch: Assembly, path: str, field: str, value: Any, message: str
    ) -> None:
        # One version of the event, so that the report names it alone.
        one = pattern_of(scratch, f"{CHECKOUT}/Rule")
        one["detail-type"] = [PLACED]
        del one["detail"]
        pattern_of(scratch, path)[field] = value

        found = [finding for finding in proof(scratch).dead_patterns() if finding.culprit == path]

        assert message in said(found)
        assert len(found) == 1

    @pytest.mark.parametrize(
        "detail",
        [
            {"total_minor": [{"numeric": [">", 999_999, "<=", 1_000_001]}]},
            {"lines": {"sku": ["MUG-BLUE", {"prefix": "CUP-"}]}},
            {"currency": [{"anything-but": ["EUR"]}], "customer_id": [{"suffix": "_test"}]},
            {"$or": [{"currency": ["EUR"]}, {"total_minor": [0]}]},
            {"lines.sku": ["MUG-BLUE"]},
        ],
    )
    def test_a_narrow_pattern_that_some_order_matches_is_not_dead(
        self, scratch: Assembly, detail: dict[str, Any]
    ) -> None:
        """Random values would never match it."""
        pattern_of(scratch, f"{CHECKOUT}/Rule")["detail"] = {"data": detail}

        assert said(proof(scratch).dead_patterns()) == ""

    def test_a_relay_whose_filter_matches_nothing_is_reported_with_its_events(
        self, scratch: Assembly
    ) -> None:
        (mapping,) = [
            mapping
            for mapping in scratch.of_type("AWS::Lambda::EventSourceMapping")
            if mapping.path.startswith("Orders/Orders/Relay")
        ]
        criteria = mapping.properties["FilterCriteria"]["Filters"][0]
        criteria["Pattern"] = criteria["Pattern"].replace("outbox", "outbx")

        found = list(proof(scratch).findings())

        assert f"{mapping.path}: dynamodb.NewImage.kind.S 'outbx' is in no message" in said(found)
        assert f"{PLACED}: of orderflow.orders is consumed by nobody" in said(found)

    def test_a_filter_on_a_renamed_field_is_reported(self, scratch: Assembly) -> None:
        name = "NotificationRequested.v1"
        renamed = copy.deepcopy(event(name))
        data = renamed.schema["$defs"]["NotificationRequested"]["properties"]
        data["media"] = data.pop("channels")
        for sample in renamed.samples:
            sample["detail"]["data"]["media"] = sample["detail"]["data"].pop("channels")

        # The relay's messages are generated from the class, so its filters are removed.
        for mapping in scratch.of_type("AWS::Lambda::EventSourceMapping"):
            mapping.properties.pop("FilterCriteria", None)
        found = said(proof(scratch, events=[*others(name), renamed]).dead_patterns())

        assert f"{EMAIL}: there is no detail.data.channels in {name}" in found

    def test_a_filter_of_a_topic_without_a_source_is_reported(self, scratch: Assembly) -> None:
        """No rule sends to the topic any more."""
        rule = scratch.at("Notifications/Requests/Rule")
        rule.properties["Targets"] = []

        found = said(proof(scratch).dead_patterns())

        assert f"{EMAIL}: no event gets to Notifications/Requests/Topic" in found

    def test_a_filter_on_message_attributes_is_reported(self, scratch: Assembly) -> None:
        subscription = scratch.at(EMAIL)
        subscription.properties["FilterPolicyScope"] = "MessageAttributes"
        subscription.properties["FilterPolicy"] = {"source": ["orderflow.notifications"]}

        found = said(proof(scratch).dead_patterns())

        assert f"{EMAIL}: source 'orderflow.notifications' is in no message that gets here" in found


class TestOrphans:
    def test_an_event_without_a_consumer_is_reported(self, scratch: Assembly) -> None:
        scratch.at("Orders/KeepPriceList/Rule").properties["Targets"] = []

        found = said(proof(scratch).orphans())

        assert found.startswith("ItemPriced.v1: of orderflow.inventory is consumed by nobody")

    def test_an_event_for_external_consumers_must_be_declared(self, scratch: Assembly) -> None:
        unnamed = replace(event("StockDepleted.v1"), for_outsiders=False)

        found = said(proof(scratch, events=[*others(unnamed.name), unnamed]).orphans())

        assert found.startswith("StockDepleted.v1: of orderflow.inventory is consumed by nobody")

    def test_an_event_that_no_code_publishes_is_reported(self, scratch: Assembly) -> None:
        silent = {path: names - {"OrderExpired.v1"} for path, names in publishers(scratch).items()}

        found = said(proof(scratch, publishers=silent).findings())

        assert "OrderExpired.v1: is said to be published, but no function publishes it" in found
        assert "Inventory/ReleaseClosedOrder/Rule: detail-type 'OrderExpired.v1'" in found

    def test_an_undeclared_published_event_is_reported(self, scratch: Assembly) -> None:
        found = said(proof(scratch, events=others("OrderRejected.v1")).unwritten())

        assert found.startswith("Orders/RejectOrder: publishes OrderRejected.v1, which is no")

    def test_a_publisher_without_a_table_with_a_relay_is_reported(self, scratch: Assembly) -> None:
        more = {**publishers(scratch), "Analytics/GetSales": frozenset([PLACED])}

        found = said(proof(scratch, publishers=more).unwritten())

        assert found == (
            f"Analytics/GetSales: publishes {PLACED}, but may write to no table with a relay to "
            "the bus"
        )


def test_only_a_replay_brings_back_a_retired_event(scratch: Assembly) -> None:
    examination = proof(scratch)
    assert examination.consumers("OrderPlaced.v1") == examination.consumers(PLACED)

    for path in ("Checkout/RunCheckout", "Notifications/AddressCustomer"):
        pattern_of(scratch, f"{path}/Rule")["detail-type"].remove("OrderPlaced.v1")
    assert "OrderPlaced.v1: of orderflow.orders is consumed by nobody" in said(
        proof(scratch).orphans()
    )


class TestGrants:
    RELAY = "Orders/Orders/Relay"

    def limits(self, scratch: Assembly) -> Any:
        return put_events(scratch, self.RELAY)["Condition"]["ForAllValues:StringEquals"]

    def test_a_grant_for_unpublished_events_is_reported(self, scratch: Assembly) -> None:
        self.limits(scratch)["events:detail-type"].append("OrderPostponed.v1")

        assert said(proof(scratch).findings()) == (
            f"{self.RELAY}: may put events of detail-type OrderPostponed.v1 on the bus, but "
            "nothing that is published through it is of that detail-type"
        )

    def test_a_grant_with_a_misspelt_type_is_both_too_wide_and_too_narrow(
        self, scratch: Assembly
    ) -> None:
        types = self.limits(scratch)["events:detail-type"]
        types[types.index(PLACED)] = "OrderPlacd.v1"

        found = said(proof(scratch).wrong_grants())

        assert "of detail-type OrderPlacd.v1 on the bus" in found
        assert f"did you mean {PLACED}?" in found
        assert f"{self.RELAY}: may not put {PLACED} on the bus" in found

    def test_a_missing_grant_for_a_published_event_is_reported(self, scratch: Assembly) -> None:
        self.limits(scratch)["events:detail-type"].remove(PLACED)

        assert said(proof(scratch).wrong_grants()) == (
            f"{self.RELAY}: may not put {PLACED} on the bus, though it is published through it"
        )

    def test_a_grant_for_another_source_is_reported(self, scratch: Assembly) -> None:
        self.limits(scratch)["events:source"].append("orderflow.payments")

        assert "may put events of source orderflow.payments on the bus" in said(
            proof(scratch).wrong_grants()
        )

    @pytest.mark.parametrize("key", ["source", "detail-type"])
    def test_a_grant_without_conditions_is_reported(self, scratch: Assembly, key: str) -> None:
        del self.limits(scratch)[f"events:{key}"]

        assert f"{self.RELAY}: may put events of any {key} on the bus" in said(
            proof(scratch).wrong_grants()
        )

    def test_a_grant_for_any_bus_is_reported(self, scratch: Assembly) -> None:
        put_events(scratch, self.RELAY)["Resource"] = "*"

        assert f"{self.RELAY}: may put events on any bus" in said(proof(scratch).wrong_grants())

    def test_a_grant_of_a_function_that_is_no_relay_is_reported(self, scratch: Assembly) -> None:
        statement = put_events(scratch, self.RELAY)
        policy = scratch.at("Orders/PlaceOrderRole/DefaultPolicy").properties["PolicyDocument"]
        policy["Statement"].append(statement)

        assert f"Orders/PlaceOrder: may put events of detail-type {PLACED} on the bus" in said(
            proof(scratch).wrong_grants()
        )

    def test_a_grant_for_all_actions_of_a_service_is_reported(self, scratch: Assembly) -> None:
        statement = put_events(scratch, self.RELAY)
        statement["Action"] = "events:*"
        del statement["Condition"]

        assert "may put events of any source" in said(proof(scratch).wrong_grants())


class TestLoops:
    def let(self, shop: Assembly, consumer: str, *names: str) -> None:
        """Makes a consumer's rule match these events, too."""
        pattern = pattern_of(shop, f"{consumer}/Rule")
        pattern["detail-type"] += names
        pattern["source"] += {event(name).source for name in names} - {*pattern["source"]}

    def test_a_consumer_of_its_own_events_is_reported(self, scratch: Assembly) -> None:
        name = "NotificationRequested.v1"
        self.let(scratch, "Notifications/AddressCustomer", name)
        step = (name, "Notifications/AddressCustomer/Function")

        found = said(proof(scratch, loops_end={step: "no reason is good enough"}).loops())

        assert f"{step[1]}: consumes {name} and publishes {name}: an endless loop" in found

    def test_a_loop_through_a_workflow_is_reported(self, scratch: Assembly) -> None:
        self.let(scratch, CHECKOUT, "OrderConfirmed.v2")

        assert said(proof(scratch).loops()) == (
            f"{CHECKOUT}/Function: a loop: OrderConfirmed.v2 runs {CHECKOUT}/Function, which "
            "leads to OrderConfirmed.v2 again: break it, or give the reason why it ends"
        )

    def test_a_loop_through_a_schedule_is_reported(self, scratch: Assembly) -> None:
        """The consumer passes a role to the scheduler, which sends to the queue of another one."""
        self.let(scratch, "Shipping/RequestShipment", "ShipmentOverdue.v1")

        assert "ShipmentOverdue.v1 runs Shipping/RequestShipment/Function" in said(
            proof(scratch).loops()
        )

    def test_a_loop_of_several_steps_is_reported_step_by_step(self, scratch: Assembly) -> None:
        self.let(scratch, CHECKOUT, "ShipmentOverdue.v1")

        found = said(proof(scratch).loops())

        assert "OrderConfirmed.v2 runs Shipping/RequestShipment/Function" in found
        assert f"ShipmentOverdue.v1 runs {CHECKOUT}/Function" in found
        assert len(found.splitlines()) == 1

    def test_a_loop_with_a_declared_end_is_not_reported(self, scratch: Assembly) -> None:
        self.let(scratch, CHECKOUT, "OrderConfirmed.v2")
        ends = {("OrderConfirmed.v2", f"{CHECKOUT}/Function"): "an order is confirmed once"}

        assert said(proof(scratch, loops_end=ends).loops()) == ""

    def test_a_declared_end_without_a_loop_is_reported(self, scratch: Assembly) -> None:
        ends = {(PLACED, f"{CHECKOUT}/Function"): "an order is placed once"}

        assert said(proof(scratch, loops_end=ends).loops()) == (
            f"{CHECKOUT}/Function: no loop goes through it and {PLACED}: remove the reason "
            "'an order is placed once'"
        )

    def test_a_rule_that_puts_events_back_on_its_bus_is_reported(self, scratch: Assembly) -> None:
        rule = scratch.at("Backbone/EventLog/Rule")
        bus: Resource = scratch.at("Backbone/Bus")
        rule.properties["Targets"].append({"Id": "Bus", "Arn": {"Ref": bus.logical_id}})

        assert said(proof(scratch).loops()) == (
            "Backbone/EventLog/Rule: puts what it matches back onto Backbone/Bus"
        )


@pytest.fixture
def subscribed(custom: Assembly) -> Assembly:
    """A copy of the templates that a test may break."""
    found: Assembly = pickle.loads(pickle.dumps(custom))
    return found


def filter_of(shop: Assembly, path: str) -> dict[str, Any]:
    """The mutable filter of a subscriber."""
    properties = shop.at(path).properties
    found: dict[str, Any] = properties["FilterConfiguration"]["Filters"][0]
    return found


def test_a_misspelt_event_in_the_filter_of_a_subscriber_is_found(subscribed: Assembly) -> None:
    stated = filter_of(subscribed, "Checkout/RunCheckout/Subscriber")
    stated["Pattern"] = stated["Pattern"].replace("OrderPlaced.v2", "OrderPlacd.v2")
    assert (
        "Checkout/RunCheckout/Subscriber: detail-type 'OrderPlacd.v2' is that of no event that "
        "gets here; did you mean OrderPlaced.v2?"
    ) in [str(finding) for finding in proof(subscribed).dead_patterns()]


def test_a_filter_that_the_proof_cannot_read_is_an_error(subscribed: Assembly) -> None:
    filter_of(subscribed, "Checkout/RunCheckout/Subscriber")["Scope"] = "METADATA"
    with pytest.raises(NotImplementedError, match="filters on METADATA"):
        proof(subscribed).findings()


def test_a_relay_that_may_publish_on_no_bus_is_found(subscribed: Assembly) -> None:
    policy = subscribed.at("Orders/Orders/RelayRole/DefaultPolicy").properties["PolicyDocument"]
    policy["Statement"] = [s for s in policy["Statement"] if s["Action"] != "events:PutEvents"]
    unwritten = [str(finding) for finding in proof(subscribed).unwritten()]
    assert any("may write to no table with a relay to the bus" in each for each in unwritten)
