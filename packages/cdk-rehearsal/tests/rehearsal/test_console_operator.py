"""What an operator sees and does on the console of a deployed application, and the permissions."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal, forked
from cdk_rehearsal.console.deployed.account import Account
from cdk_rehearsal.console.deployed.journal import Journal
from cdk_rehearsal.console.deployed.operations import BadOperation, Operations
from cdk_rehearsal.console.deployed.places import Places
from cdk_rehearsal.console.deployed.policy import policy
from cdk_rehearsal.console.deployed.reader import Reader
from cdk_rehearsal.console.layout import map_of
from cdk_rehearsal.meter import Record
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

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
    for name, operates in (("Reader", False), ("Operator", True)):
        template.role(name, *policy(operates=operates)["Statement"])
    return template


@pytest.fixture
def shop(application: Cloud, rehearse: Rehearse) -> Rehearsal:
    """The application with a parked message of each kind."""
    shop = rehearse()
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Orders"), MessageBody="one")
    shop.client("sns").publish(TopicArn=shop.physical_id("Shop/News"), Message="news")
    shop.faults.fail("Shop/Parcels", times=None, when="delivery")
    publish(shop, "o-1")
    shop.run_for(3600)
    shop.faults.clear()
    assert shop.queue_depths()["Shop/Dead"] == shop.queue_depths()["Shop/Undelivered"] == 1
    return shop


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

    def do(self, what: str, path: str, **details: str) -> str:
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


# -- permissions ----------------------------------------------------------------------------


def actions(*, operates: bool) -> list[str]:
    return [each for part in policy(operates=operates)["Statement"] for each in part["Action"]]


def uses(shop: Rehearsal, role: str, journal: Path, without: str) -> list[str]:
    """Uses the whole page as a caller with a role, which lacks an action; returns the errors."""
    document = policy(operates=role == "Operator")
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
        except (BadOperation, Exception) as error:
            errors.append(str(error))

    try:
        page = Page(shop, role, journal if role == "Operator" else None)
    except Exception as error:
        return [str(error)]
    page.read()
    if role == "Operator":
        orders, bus = "Shop/Dead", "Shop/Undelivered"
        (message,) = shop.messages(bus)
        again = "Shop/Placed"
        attempt(lambda: page.operations.letters(orders))
        attempt(lambda: page.do(f"replay {again}", bus))
        attempt(lambda: page.do(f"finish {again}", bus))
        attempt(lambda: page.do("redrive", orders))
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
