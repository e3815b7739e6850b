"""What each function, table, API, workflow and alarm of the templates must be."""

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lambdas.eventing.consumer import ConsumerSettings
from lambdas.eventing.event import Event
from lambdas.eventing.relay import RelaySettings
from lambdas.eventing.settings import Settings, TableSettings
from lambdas.inventory import events as inventory_events
from lambdas.orders import events as orders_events
from lambdas.payments import events as payments_events
from stacks.constructs.packaging import PROJECT, PYTHON_VERSION
from tests.conftest import STAGES
from tests.support.assemblies import Assembly, Resource, nodes

XRAY_AND_LOGS = re.compile(r"xray:\w+|logs:\w*(LogDeliver\w+|ResourcePolic\w+|DescribeLogGroups)")
"""Actions for which AWS knows no resource."""

PUBLISHED: dict[str, tuple[type[Event], ...]] = {
    "Orders": orders_events.PUBLISHED,
    "Inventory": inventory_events.PUBLISHED,
    "Payments": payments_events.PUBLISHED,
}


@pytest.fixture(params=STAGES)
def app(request: pytest.FixtureRequest, templates: Mapping[str, Assembly]) -> Assembly:
    """The templates of each stage in turn."""
    return templates[request.param]


def functions(app: Assembly) -> list[Resource]:
    return app.of_type("AWS::Lambda::Function")


def statements(app: Assembly) -> list[tuple[Resource, dict[str, Any]]]:
    return [
        (policy, statement)
        for policy in app.of_type("AWS::IAM::Policy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
    ]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_each_function_runs_the_current_python_on_arm_with_logs_that_end(app: Assembly) -> None:
    for function in functions(app):
        properties = function.properties
        assert properties["Runtime"] == f"python{PYTHON_VERSION}"
        assert properties["Architectures"] == ["arm64"]
        assert properties["TracingConfig"] == {"Mode": "Active"}
        assert properties["LoggingConfig"]["LogFormat"] == "JSON"
        log_group = app.referred(function.stack, properties["LoggingConfig"]["LogGroup"])
        assert log_group.properties["RetentionInDays"] > 0


def test_each_function_has_a_role_of_its_own(app: Assembly) -> None:
    roles = [function.properties["Role"]["Fn::GetAtt"][0] for function in functions(app)]

    assert len(roles) == len(set(roles))


def test_no_role_has_a_policy_that_aws_manages(app: Assembly) -> None:
    for role in app.of_type("AWS::IAM::Role"):
        assert "ManagedPolicyArns" not in role.properties, role


def test_no_grant_has_a_wildcard_but_where_aws_knows_no_resource(app: Assembly) -> None:
    for policy, statement in statements(app):
        for action in listed(statement["Action"]):
            assert "*" not in action, f"{policy}: {action}"
            if statement["Resource"] == "*":
                assert XRAY_AND_LOGS.fullmatch(action), f"{policy}: {action} on everything"
        for node in nodes(statement["Resource"]):
            if isinstance(node, str) and node != "*":
                assert not node.endswith("*"), f"{policy}: {node}"


def test_each_relay_may_publish_what_its_context_publishes_and_nothing_else(app: Assembly) -> None:
    granted = {}
    for policy, statement in statements(app):
        if statement["Action"] == "events:PutEvents":
            assert app.referred(policy.stack, statement["Resource"]).path == "Backbone/Bus"
            condition = statement["Condition"]
            assert condition["Null"] == {"events:source": "false", "events:detail-type": "false"}
            granted[policy.stack] = condition["ForAllValues:StringEquals"]

    assert granted == {
        stack: {
            "events:source": sorted({event.source for event in events}),
            "events:detail-type": sorted(event.detail_type() for event in events),
        }
        for stack, events in PUBLISHED.items()
    }


def test_only_relays_may_publish(app: Assembly) -> None:
    publishers = [
        policy.path for policy, each in statements(app) if "events:PutEvents" in each["Action"]
    ]

    assert len(publishers) == len(PUBLISHED)
    assert all("/RelayRole/" in path for path in publishers)


def test_each_function_is_told_exactly_what_its_settings_read(app: Assembly) -> None:
    for function in functions(app):
        given = set(function.properties["Environment"]["Variables"])
        module = importlib.import_module(function.properties["Handler"].removesuffix(".handler"))
        expected = {"POWERTOOLS_SERVICE_NAME"}
        if hasattr(module.handler, "consumes"):
            expected |= variables(ConsumerSettings)
        if module.__name__ == "lambdas.eventing.relay":
            expected |= variables(RelaySettings)
        else:
            own = importlib.import_module(f"{module.__name__.rpartition('.')[0]}.settings")
            expected |= variables(getattr(own, "Settings", TableSettings))
        assert given == expected, function


def variables(settings: type[Settings]) -> set[str]:
    return {field.upper() for field in settings.__struct_fields__}


def test_each_event_that_is_consumed_is_published_by_its_source(app: Assembly) -> None:
    published = {
        (event.source, event.detail_type()) for events in PUBLISHED.values() for event in events
    }
    for rule in app.of_type("AWS::Events::Rule"):
        pattern = rule.properties["EventPattern"]
        for source in pattern["source"]:
            for detail_type in pattern.get("detail-type", []):
                assert (source, detail_type) in published, rule


def test_each_table_can_be_restored_and_forgets_what_has_expired(app: Assembly) -> None:
    for table in app.of_type("AWS::DynamoDB::GlobalTable"):
        (replica,) = table.properties["Replicas"]
        assert replica["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        if "StreamSpecification" in table.properties:
            assert table.properties["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
            expiry = table.properties["TimeToLiveSpecification"]
            assert expiry == {"AttributeName": "expires_at", "Enabled": True}


@pytest.mark.parametrize(("stage", "kept"), [("dev", False), ("prod", True)])
def test_data_survive_their_stack_in_production_alone(
    templates: Mapping[str, Assembly], stage: str, kept: bool
) -> None:
    app = templates[stage]
    for table in app.of_type("AWS::DynamoDB::GlobalTable"):
        assert table.properties["Replicas"][0].get("DeletionProtectionEnabled", False) is kept
        assert table.definition["DeletionPolicy"] == ("Retain" if kept else "Delete")
    (pool,) = app.of_type("AWS::Cognito::UserPool")
    assert (pool.properties.get("DeletionProtection") == "ACTIVE") is kept


def test_each_route_has_an_authorizer(app: Assembly) -> None:
    for route in app.of_type("AWS::ApiGatewayV2::Route"):
        assert route.properties["AuthorizationType"] == "JWT", route
        authorizer = app.referred(route.stack, route.properties["AuthorizerId"])
        jwt = authorizer.properties["JwtConfiguration"]
        assert jwt["Audience"], authorizer
        assert jwt["Issuer"], authorizer


def test_the_api_is_throttled_and_logs_who_was_answered_what(app: Assembly) -> None:
    (stage,) = app.of_type("AWS::ApiGatewayV2::Stage")
    limits = stage.properties["DefaultRouteSettings"]

    assert limits["ThrottlingRateLimit"] > 0
    assert limits["ThrottlingBurstLimit"] > 0
    log = json.loads(stage.properties["AccessLogSettings"]["Format"])
    assert {"requestId", "route", "status"} <= log.keys()


def test_the_bus_is_archived_for_a_while_and_its_log_holds_no_data(app: Assembly) -> None:
    (archive,) = app.of_type("AWS::Events::Archive")
    assert archive.properties["RetentionDays"] > 0
    rule = app.at("Backbone/EventLog/Rule")
    (target,) = rule.properties["Targets"]
    paths = target["InputTransformer"]["InputPathsMap"].values()
    assert all(not path.startswith("$.detail.data") for path in paths)
    assert "$" not in paths
    assert "$.detail" not in paths


def definition(app: Assembly) -> dict[str, Any]:
    """The workflow; what refers to other resources is left blank."""
    (machine,) = app.of_type("AWS::StepFunctions::StateMachine")
    parts = machine.properties["DefinitionString"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else "x" for part in parts)
    states: dict[str, Any] = json.loads(text)
    return states


def test_the_workflow_is_bounded_traced_and_logs_no_data(app: Assembly) -> None:
    (machine,) = app.of_type("AWS::StepFunctions::StateMachine")
    logging = machine.properties["LoggingConfiguration"]

    assert machine.properties["StateMachineType"] == "EXPRESS"
    assert machine.properties["TracingConfiguration"] == {"Enabled": True}
    assert logging["Level"] == "ALL"
    assert logging["IncludeExecutionData"] is False
    assert definition(app)["TimeoutSeconds"] <= 300


def test_each_step_is_bounded_and_retried_with_jitter_for_what_may_pass(app: Assembly) -> None:
    refusals = {"StockRefused", "PaymentRefused", "OrderClosed", "OrderStands"}
    for name, state in definition(app)["States"].items():
        if state["Type"] != "Task":
            continue
        assert 0 < state["TimeoutSeconds"] <= 30, name
        assert state["Retry"], name
        for retrier in state["Retry"]:
            assert not refusals & set(retrier["ErrorEquals"]), name
            assert "States.ALL" not in retrier["ErrorEquals"], name
            assert retrier["JitterStrategy"] == "FULL", name
            assert 1 <= retrier["MaxAttempts"] <= 6, name
            assert retrier["MaxDelaySeconds"] <= 10, name


@pytest.mark.parametrize(
    ("state", "refusal"),
    [
        ("ReserveStock", "StockRefused"),
        ("AuthorizePayment", "PaymentRefused"),
        ("AuthorizePayment", "PaymentUnavailable"),
        ("ConfirmOrder", "OrderClosed"),
    ],
)
def test_each_refusal_rejects_the_order_and_undoes_what_was_done(
    app: Assembly, state: str, refusal: str
) -> None:
    states = definition(app)["States"]
    (catcher,) = [each for each in states[state]["Catch"] if refusal in each["ErrorEquals"]]
    way = [catcher["Next"]]
    while "Next" in states[way[-1]]:
        way.append(states[way[-1]]["Next"])

    assert way[:3] == ["RejectOrder", "RefundPayment", "ReleaseStock"]
    assert states[way[-1]]["Type"] == "Succeed"
    assert catcher["ResultPath"] == "$.failure"


def test_each_alarm_notifies_somebody_and_names_a_page_that_exists(app: Assembly) -> None:
    pages = pages_of(PROJECT / "docs" / "runbook.md")
    for alarm in app.of_type("AWS::CloudWatch::Alarm"):
        (action,) = alarm.properties["AlarmActions"]
        assert app.referred(alarm.stack, action).type == "AWS::SNS::Topic", alarm
        page = re.search(r"docs/runbook\.md#([\w-]+)$", alarm.properties["AlarmDescription"])
        assert page, alarm
        assert page[1] in pages, f"{alarm} names a page that is not there: {page[1]}"
        assert alarm.properties["TreatMissingData"] == "notBreaching", alarm


def pages_of(runbook: Path) -> set[str]:
    """The anchors that GitHub gives to the headings."""
    headings = re.findall(r"^## (.+)$", runbook.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_dead_letter_queue_and_each_function_has_an_alarm(app: Assembly) -> None:
    alarms = app.of_type("AWS::CloudWatch::Alarm")
    watched = {
        app.referred(alarm.stack, dimension["Value"]).path
        for alarm in alarms
        for dimension in alarm.properties.get("Dimensions", [])
        if app.refers(alarm.stack, dimension["Value"])
    }
    unwatched = [
        resource.path
        for resource in app.of_type(
            "AWS::SQS::Queue", "AWS::Lambda::Function", "AWS::StepFunctions::StateMachine"
        )
        if resource.path not in watched
    ]

    assert unwatched == []
