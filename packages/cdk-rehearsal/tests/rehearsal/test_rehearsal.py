"""A whole rehearsal: from a written row to a row that a consumer writes, and what is around it."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config

from cdk_rehearsal import Latency, Record, Rehearsal, RehearsalError
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse

PUBLISH = """
    import boto3, json, os
    from functools import cache
    @cache
    def client(): return boto3.client("events")
    def handler(event, context):
        client().put_events(Entries=[
            {"Source": "shop", "DetailType": "Written", "EventBusName": os.environ["BUS"],
             "Detail": json.dumps(record["dynamodb"]["Keys"])}
            for record in event["Records"]])
"""
KEEP = """
    import boto3, json, os, random, time, uuid
    from functools import cache
    @cache
    def client(): return boto3.client("dynamodb")
    def handler(event, context):
        for record in event["Records"]:
            time.sleep(random.uniform(0.01, 0.05))
            key = json.loads(record["body"])["detail"]["pk"]["S"]
            client().put_item(TableName=os.environ["TABLE"], Item={
                "pk": {"S": key}, "id": {"S": str(uuid.uuid4())}, "at": {"N": str(time.time())}})
"""


@pytest.fixture
def chain(template: Cloud) -> Cloud:
    """Table -> stream -> function -> bus -> rule -> queue -> function -> table."""
    template.add("Bus", "AWS::Events::EventBus", Name="bus")
    template.table("Table")
    template.table("Kept")
    template.queue("Dead")
    template.queue("Queue", dead_letters="Dead", VisibilityTimeout=60)
    template.function("Publish", PUBLISH, Environment={"Variables": {"BUS": ref("Bus")}})
    template.function("Keep", KEEP, Environment={"Variables": {"TABLE": ref("Kept")}})
    template.mapping(
        "FromTable", arn("Table", "StreamArn"), "Publish", StartingPosition="TRIM_HORIZON"
    )
    template.mapping("FromQueue", arn("Queue"), "Keep", BatchSize=2)
    template.rule("Rule", {"source": ["shop"]}, {"Arn": arn("Queue")})
    return template


def write(shop: Rehearsal, *keys: str) -> None:
    for key in keys:
        shop.client("dynamodb").put_item(
            TableName=shop.physical_id("Shop/Table"), Item={"pk": {"S": key}}
        )


def kept(shop: Rehearsal) -> dict[str, tuple[str, str]]:
    items = shop.client("dynamodb").scan(TableName=shop.physical_id("Shop/Kept"))["Items"]
    return {item["pk"]["S"]: (item["id"]["S"], item["at"]["N"]) for item in items}


def test_what_is_written_flows_through_to_the_end(chain: Cloud, rehearse: Rehearse) -> None:
    shop = rehearse(latency=Latency())
    write(shop, *"abcde")
    shop.run_until_idle()
    assert set(kept(shop)) == set("abcde")
    assert set(shop.queue_depths().values()) == {0}
    edges = {(r.kind, r.source, r.target) for r in shop.meter.records}
    assert edges == {
        ("call", "Shop/Keep", "Shop/Kept"),
        ("call", "Shop/Publish", "Shop/Bus"),
        ("delivery", "Shop/Queue", "Shop/Keep"),
        ("delivery", "Shop/Rule", "Shop/Queue"),
        ("delivery", "Shop/Table", "Shop/Publish"),
        ("invocation", "Shop/Queue", "Shop/Keep"),
        ("invocation", "Shop/Table", "Shop/Publish"),
        ("published", "Shop/Publish", "Shop/Bus"),
    }


def run(assembly: Path, seed: int) -> tuple[dict[str, tuple[str, str]], list[Record]]:
    with Rehearsal(assembly, seed=seed) as shop:
        write(shop, *"abcdefghij")
        shop.faults.fail("Shop/Keep")
        shop.run_until_idle()
        return kept(shop), [*shop.meter.records]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(chain: Cloud) -> None:
    assembly = chain.write()
    random.seed(1)
    first = run(assembly, 7)
    random.seed(2)
    assert run(assembly, 7) == first
    other_kept, other_records = run(assembly, 8)
    assert set(other_kept) == set(first[0])
    assert [r.time for r in other_records] != [r.time for r in first[1]]


TWICE = """
import sys
from pathlib import Path
from cdk_rehearsal import Rehearsal

def run():
    with Rehearsal(Path({assembly!r}), seed=7) as shop:
        table, item = shop.physical_id("Shop/Table"), {{"pk": {{"S": "a"}}}}
        shop.client("dynamodb").put_item(TableName=table, Item=item)
        shop.run_until_idle()
        found = shop.client("dynamodb").scan(TableName=shop.physical_id("Shop/Kept"))["Items"]
        return found, shop.meter.records

print(run() == run())
print([name for name in sys.modules if name.startswith("moto.ec2") or name == "moto.batch"])
"""


def test_the_first_rehearsal_of_a_process_is_as_all_others_and_loads_no_more_than_it_needs(
    chain: Cloud,
) -> None:
    assert _in_a_subprocess(TWICE.format(assembly=str(chain.write()))).splitlines() == [
        "True",
        "[]",
    ]


def test_records_are_handed_on_as_they_are_made(chain: Cloud, rehearse: Rehearse) -> None:
    seen: list[Record] = []
    shop = rehearse(on_record=seen.append)
    write(shop, "a")
    shop.run_until_idle()
    assert seen == shop.meter.records
    assert seen


def test_time_begins_where_it_is_told_to(template: Cloud, rehearse: Rehearse) -> None:
    template.queue("Queue")
    shop = rehearse(start=datetime(2027, 3, 1, tzinfo=UTC))
    assert datetime.fromtimestamp(shop.clock.now(), UTC) == datetime(2027, 3, 1, tzinfo=UTC)
    time.sleep(60)
    assert datetime.now(UTC) == datetime(2027, 3, 1, 0, 1, tzinfo=UTC)


def test_afterwards_everything_is_as_it_was(chain: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    before = (
        dict(os.environ),
        time.sleep,
        os.urandom,
        list(sys.meta_path),
        sys.stdout,
        random.getstate(),
        set(sys.modules),
        boto3.DEFAULT_SESSION,
    )
    with Rehearsal(chain.write()) as shop:
        write(shop, "a")
        shop.run_until_idle()
        assert "AWS_PROFILE" not in os.environ
    after = (
        dict(os.environ),
        time.sleep,
        os.urandom,
        list(sys.meta_path),
        sys.stdout,
        random.getstate(),
        {name for name in sys.modules if not name.startswith(("moto", "botocore", "boto3"))}
        & before[6],
        boto3.DEFAULT_SESSION,
    )
    assert after[:6] == before[:6]
    assert after[7] is before[7]
    assert "index" not in sys.modules
    assert abs(datetime.now(UTC).timestamp() - time.time()) < 1
    assert time.time() > shop.clock.now() + 86_400


def test_what_still_runs_at_the_end_is_stopped(template: Cloud, rehearse: Rehearse) -> None:
    template.function(
        "Function",
        """
        import time
        def handler(event, context):
            try: time.sleep(10)
            finally: print("cleaned up")
        """,
        Timeout=60,
    )
    logs = template.directory.parent / "logs"
    with Rehearsal(template.write(), logs=logs) as shop:
        shop.spawn(shop.invoke, "Shop/Function", {})
        shop.run_for(5)
    assert (logs / "Shop.Function.log").read_text() == "cleaned up\n"


def test_an_error_in_the_program_ends_the_rehearsal_in_order(template: Cloud) -> None:
    template.queue("Queue")
    with pytest.raises(KeyError), Rehearsal(template.write()):
        raise KeyError
    with Rehearsal(template.write()) as shop:
        assert shop.queue_depths() == {"Shop/Queue": 0}


def test_a_call_from_outside_is_answered_in_a_process_too(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.function("Echo", "def handler(event, context): return event")
    shop = rehearse()

    def visitor(number: int) -> Any:
        time.sleep(number)
        return (shop.invoke("Shop/Echo", number).payload, shop.clock.now())

    visits = [shop.spawn(visitor, number) for number in (3, 1, 2)]
    answers = [visit.result() for visit in visits]
    assert [answer - 3 for answer, _ in answers] == [0, -2, -1]
    assert answers[0][1] - answers[1][1] == 2


def test_unknown_paths_are_errors(template: Cloud, rehearse: Rehearse) -> None:
    template.queue("Queue")
    shop = rehearse()
    with pytest.raises(RehearsalError, match="no resource AWS::Lambda::Function at Shop/Queue"):
        shop.invoke("Shop/Queue", {})
    with pytest.raises(RehearsalError, match="Shop/Nothing"):
        shop.messages("Shop/Nothing")


def test_an_unmodified_client_can_look_in_while_the_rehearsal_runs(
    chain: Cloud, rehearse: Rehearse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="werkzeug")
    shop = rehearse()
    url = shop.serve()
    write(shop, "a")
    assert url == shop.serve()
    code = f"""
import boto3
options = dict(endpoint_url={url!r}, region_name="eu-central-1",
               aws_access_key_id="any", aws_secret_access_key="body")
dynamodb = boto3.client("dynamodb", **options)
print(dynamodb.get_item(TableName={shop.physical_id("Shop/Table")!r},
                        Key={{"pk": {{"S": "a"}}}})["Item"])
sqs = boto3.client("sqs", **options)
sqs.send_message(QueueUrl={shop.physical_id("Shop/Dead")!r}, MessageBody="hello")
print(len(sqs.list_queues()["QueueUrls"]))
"""
    assert _in_a_subprocess(code).splitlines() == ["{'pk': {'S': 'a'}}", "2"]
    assert [message["body"] for message in shop.messages("Shop/Dead")] == ["hello"]
    assert [record.name for record in caplog.records if record.name == "werkzeug"] == []


def test_clients_outside_of_the_process_are_subject_to_the_limits_of_calls(
    chain: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
    chain.add("Topic", "AWS::SNS::Topic")
    chain.add("Stream", "AWS::Kinesis::Stream", ShardCount=2)
    shop = rehearse(quotas={"events.puts_per_second": 1})
    code = f"""
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
def attempt(service, method, **parameters):
    client = boto3.client(
        service, endpoint_url={shop.serve()!r}, region_name="eu-central-1",
        aws_access_key_id="any", aws_secret_access_key="body",
        config=Config(retries={{"total_max_attempts": 1}}),
    )
    try:
        getattr(client, method)(**parameters)
        print("accepted")
    except ClientError as error:
        print(error.response["Error"]["Code"])
queue = dict(QueueUrl={shop.physical_id("Shop/Dead")!r}, MessageBody="m")
topic = dict(TopicArn={shop.physical_id("Shop/Topic")!r}, Message="m")
stream = dict(StreamName={shop.physical_id("Shop/Stream")!r}, PartitionKey="k")
window = dict(Mode="FLEXIBLE", MaximumWindowInMinutes=1441)
target = dict(Arn="arn:aws:sqs:eu-central-1:123456789012:q", RoleArn="arn:aws:iam::1:role/r")
attempt("sqs", "send_message", DelaySeconds=900, **queue)
attempt("sqs", "send_message", DelaySeconds=901, **queue)
attempt("sns", "publish", Subject="x" * 100, **topic)
attempt("sns", "publish", Subject="x" * 101, **topic)
attempt("kinesis", "put_record", Data=b"x" * 1_048_575, **stream)
attempt("kinesis", "put_record", Data=b"x" * 1_048_576, **stream)
attempt("scheduler", "create_schedule", Name="n", ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow=window, Target=target)
for _ in range(2):
    attempt("events", "put_events", Entries=[dict(Source="s", DetailType="k", Detail="{{}}")])
"""
    assert _in_a_subprocess(code).splitlines() == [
        *("accepted", "InvalidParameterValue"),
        *("accepted", "InvalidParameter"),
        *("accepted", "ValidationException"),
        "ValidationException",
        *("accepted", "ThrottlingException"),
    ]


def test_requests_from_outside_wait_for_the_end_of_a_step(chain: Cloud, rehearse: Rehearse) -> None:
    """A visitor in another thread never sees a handler's code run."""
    shop = rehearse()
    inside: list[bool] = []
    done = threading.Event()

    def visit() -> None:
        for _ in range(20):
            with shop.scheduler.guest():
                inside.append(shop.scheduler.current is not None)
        done.set()

    thread = threading.Thread(target=visit)
    thread.start()
    while not done.is_set():
        write(shop, str(uuid.uuid4()))
        shop.run_until_idle()
    thread.join()
    assert inside == [False] * 20


def test_a_visitor_gets_in_while_the_rehearsal_is_busy(template: Cloud, rehearse: Rehearse) -> None:
    template.queue("Queue")
    shop = rehearse()
    steps: list[int] = []
    visits: list[int] = []

    def visit() -> None:
        while len(visits) < 10:
            with shop.scheduler.guest():
                visits.append(len(steps))

    def work() -> None:
        while len(visits) < 10 and len(steps) < 1000:
            steps.append(sum(range(50_000)))
            shop.scheduler.sleep(0.001)

    visitor = threading.Thread(target=visit)
    busy = shop.spawn(work)
    shop.scheduler.call_later(0.01, visitor.start)
    busy.result()
    visitor.join()
    assert visits[-1] - visits[0] <= 30


def test_what_a_visitor_sends_is_delivered_at_real_pace(
    template: Cloud, rehearse: Rehearse
) -> None:
    """The engine sleeps until something is due, and a visitor's message wakes it."""
    template.queue("Queue")
    template.function("Print", "def handler(event, context): print('got it')")
    template.mapping("Mapping", arn("Queue"), "Print")
    shop = rehearse(pace="real")
    started = shop.clock.now()
    client = boto3.client(
        "sqs", region_name="eu-central-1", config=Config(retries={"total_max_attempts": 1})
    )
    url = shop.physical_id("Shop/Queue")
    visitor = threading.Timer(
        0.1, lambda: client.send_message(QueueUrl=url, MessageBody="from afar")
    )
    visitor.start()
    assert shop.scheduler.run_until(lambda: "got it" in shop.logs("Shop/Print"), timeout=20)
    visitor.join()
    assert shop.clock.now() < started + 10


def test_a_visitor_may_invoke_a_function_while_the_rehearsal_runs(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.function("Echo", "def handler(event, context): return event")
    shop = rehearse(pace="real")
    client = boto3.client("lambda", region_name="eu-central-1")
    answers: list[bytes] = []

    def visit() -> None:
        answer = client.invoke(FunctionName=shop.physical_id("Shop/Echo"), Payload=b'"hello"')
        answers.append(answer["Payload"].read())

    visitor = threading.Thread(target=visit)
    visitor.start()
    shop.scheduler.run_until(lambda: bool(answers), timeout=60)
    visitor.join()
    assert answers == [b'"hello"']


def test_moto_keeps_answering_between_rehearsals(template: Cloud) -> None:
    """One rehearsal's state is gone when the next begins."""
    template.queue("Queue", QueueName="same")
    for _ in range(2):
        with Rehearsal(template.write()) as shop:
            assert shop.queue_depths() == {"Shop/Queue": 0}
            shop.client("sqs").send_message(
                QueueUrl=shop.physical_id("Shop/Queue"), MessageBody="x"
            )


def _in_a_subprocess(code: str) -> str:
    """Run code in another interpreter, and let real time pass meanwhile."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_rehearsal_runs_in_the_account_of_its_stacks(template: Cloud) -> None:
    """Roles, AWS's managed policies and permissions are found there, too."""
    template.queue("Queue")
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn("Queue")}
    template.role("Role", send)
    managed = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    template.resources["Role"]["Properties"]["ManagedPolicyArns"] = [managed]
    code = """
    import boto3, os
    def handler(event, context):
        boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody="m")
        return boto3.client("sts").get_caller_identity()["Account"]
    """
    template.function("Send", code, Environment={"Variables": {"QUEUE": ref("Queue")}})
    with Rehearsal(template.write(), account="210987654321") as shop:
        assert shop.invoke("Shop/Send", {}).payload == "210987654321"
        assert "210987654321" in shop.physical_id("Shop/Queue")
        assert [each["body"] for each in shop.messages("Shop/Queue")] == ["m"]


def test_handlers_of_a_client_see_no_call_of_a_later_rehearsal(template: Cloud) -> None:
    """Clients share their parts, unless a program has changed one of them."""
    template.queue("Queue")
    assembly, seen = template.write(), list[str]()
    for number in (1, 2):
        with Rehearsal(assembly) as rehearsal:
            sqs = rehearsal.client("sqs")
            assert len(sqs.list_queues()["QueueUrls"]) == 1
            assert len(seen) == number - 1, "a handler of the first rehearsal is still there"
            sqs.meta.events.register("before-call", lambda **_: seen.append("a call"))
            sqs.list_queues()
            assert len(seen) == number


def test_a_presigned_url_is_signed(template: Cloud) -> None:
    """Unlike a request, whose signature nobody checks."""
    with Rehearsal(template.write()) as rehearsal:
        s3 = rehearsal.client("s3")
        one, two = (
            parse_qs(urlsplit(s3.generate_presigned_url("get_object", Params=named)).query)
            for named in ({"Bucket": "bucket", "Key": "a"}, {"Bucket": "bucket", "Key": "b"})
        )
    assert one["X-Amz-Date"] == two["X-Amz-Date"]
    assert one["X-Amz-Signature"] != two["X-Amz-Signature"]
