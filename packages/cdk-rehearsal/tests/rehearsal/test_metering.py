"""What a rehearsal uses of everything that AWS bills by use."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cdk_rehearsal import BILLED, Metering, Rehearsal, prices
from cdk_rehearsal.billing import GB, ITEM, LOG_EVENT, MONTH_S, POLL_S, POLLERS
from cdk_rehearsal.latency import NONE, Latency
from rehearsal.cloud import Cloud, arn, ref
from rehearsal.conftest import Rehearse
from rehearsal.test_http_api import api, route

YEAR_S = 365 * 86_400
DAY_S = 86_400

ACT = """
    import boto3, os
    def handler(event, context):
        for call in event.get("calls", ()):
            try:
                getattr(boto3.client(call["service"]), call["do"])(**call["with"])
            except boto3.client(call["service"]).exceptions.ClientError:
                pass
"""
"""Makes the calls that an event lists."""


def metered(shop: Rehearsal, use: Callable[[], object]) -> Counter[tuple[str, str]]:
    """Return the units by price and kind of what happens, until everything has settled."""
    metering = Metering(shop)
    use()
    shop.run_until_idle()
    found: Counter[tuple[str, str]] = Counter()
    for each, units in metering.uses().items():
        found[each.price, each.kind] += units  # type: ignore[assignment]
    return found


def calls(shop: Rehearsal, service: str, *made: tuple[str, dict[str, Any]]) -> Counter[Any]:
    listed = [{"service": service, "do": name, "with": given} for name, given in made]
    return metered(shop, lambda: shop.invoke("Shop/Act", {"calls": listed}))


def write(shop: Rehearsal, *made: tuple[str, dict[str, Any]]) -> Counter[Any]:
    table = shop.physical_id("Shop/Table")
    return calls(shop, "dynamodb", *((name, {"TableName": table, **w}) for name, w in made))


def item(key: str = "a", size: int = 0, **more: Any) -> dict[str, Any]:
    return {"pk": {"S": key}, **({"v": {"S": "x" * size}} if size else {}), **more}


class TestTables:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html."""

    @pytest.fixture
    def shop(self, template: Cloud, rehearse: Rehearse) -> Rehearsal:
        template.table("Table")
        properties = template.resources["Table"]["Properties"]
        properties["TimeToLiveSpecification"] = {"AttributeName": "ends", "Enabled": True}
        properties["PointInTimeRecoverySpecification"] = {"PointInTimeRecoveryEnabled": True}
        properties["AttributeDefinitions"] += [{"AttributeName": "open", "AttributeType": "S"}]
        properties["GlobalSecondaryIndexes"] = [
            {
                "IndexName": "Open",
                "KeySchema": [{"AttributeName": "open", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ]
        template.function("Act", ACT)
        template.function("Relay", "def handler(event, context): pass")
        template.mapping(
            "Mapping", arn("Table", "StreamArn"), "Relay", StartingPosition="TRIM_HORIZON"
        )
        return rehearse()

    def test_a_write_counts_the_larger_of_both_items(self, shop: Rehearsal) -> None:
        used = write(
            shop,
            ("put_item", {"Item": item(size=2000)}),
            ("put_item", {"Item": item()}),
            ("delete_item", {"Key": item()}),
        )
        assert used["write_unit", "writes"] == 2 + 2 + 1

    def test_a_transaction_counts_twice_also_what_it_only_checks(self, shop: Rehearsal) -> None:
        table = shop.physical_id("Shop/Table")
        check = {"Key": item("b"), "ConditionExpression": "attribute_not_exists(pk)"}
        put: dict[str, Any] = {"Item": item(size=2000)}
        operations = [{"Put": put}, {"ConditionCheck": check}]
        items = [{k: {"TableName": table, **v} for k, v in each.items()} for each in operations]
        used = calls(shop, "dynamodb", ("transact_write_items", {"TransactItems": items}))
        assert used["write_unit", "transactional writes"] == 2 * 2 + 2
        assert not used["write_unit", "writes"]

    def test_a_condition_that_fails_costs_the_write(self, shop: Rehearsal) -> None:
        absent = {"ConditionExpression": "attribute_not_exists(pk)"}
        used = write(
            shop, ("put_item", {"Item": item(size=2000)}), ("put_item", {"Item": item(), **absent})
        )
        assert used["write_unit", "writes"] == 2
        assert used["write_unit", "failed writes"] == 2

    def test_an_index_is_written_only_if_its_entry_changes(self, shop: Rehearsal) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html"""
        opened: dict[str, Any] = {"open": {"S": "today"}}
        used = write(
            shop,
            ("put_item", {"Item": item(**opened)}),
            ("put_item", {"Item": item(size=9, **opened)}),
            ("put_item", {"Item": item(open={"S": "later"})}),
            ("put_item", {"Item": item()}),
            ("put_item", {"Item": item(size=9)}),
        )
        assert used["write_unit", "index writes"] == 1 + 0 + 2 + 1 + 0

    def test_reads_count_what_they_look_at(self, shop: Rehearsal) -> None:
        query = {
            "KeyConditionExpression": "pk = :k",
            "ExpressionAttributeValues": {":k": {"S": "a"}},
            "ProjectionExpression": "pk",
        }
        used = write(
            shop,
            ("put_item", {"Item": item(size=5000)}),
            ("get_item", {"Key": item()}),
            ("get_item", {"Key": item(), "ConsistentRead": True}),
            ("get_item", {"Key": item("none")}),
            ("query", query),
        )
        assert used["read_unit", "reads"] == 1 + 2 + 0.5 + 1

    def test_streams_are_read_for_nothing(self, shop: Rehearsal) -> None:
        """https://aws.amazon.com/dynamodb/pricing/on-demand/"""
        used = write(shop, ("put_item", {"Item": item()}))
        assert used["function_request", "invocations"] == 2
        prices = {price for price, _ in used}
        assert {price for price in prices if "read" in price or "stream" in price} == set()

    def test_expired_items_are_deleted_for_nothing_and_stored_until_then(
        self, shop: Rehearsal
    ) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
        ends = round(shop.clock.now()) + 10 * DAY_S
        expiring = item(ends={"N": str(ends)}, open={"S": "o"})

        def put_and_wait() -> None:
            made = {"TableName": shop.physical_id("Shop/Table"), "Item": expiring}
            call = {"service": "dynamodb", "do": "put_item", "with": made}
            shop.invoke("Shop/Act", {"calls": [call]})
            shop.run_for(20 * DAY_S)

        used = metered(shop, put_and_wait)
        assert not shop.client("dynamodb").scan(TableName=shop.physical_id("Shop/Table"))["Items"]
        assert used["write_unit", "writes"] == 1
        # pk and a, ends and five digits, open and o: in the index without ends.
        size, entry = 3 + 4 + math.ceil(len(str(ends).strip("0")) / 2) + 1 + 5, 3 + 5
        stored = (size + ITEM + entry + ITEM) / GB * 10 * DAY_S / MONTH_S
        assert used["table_gb_month", "until items expire"] == pytest.approx(stored)
        recovery = (size + ITEM) / GB * 10 * DAY_S / MONTH_S
        assert used["recovery_gb_month", "until items expire"] == pytest.approx(recovery)

    def test_an_item_that_is_written_again_is_stored_until_then_or_until_it_has_expired(
        self, shop: Rehearsal
    ) -> None:
        """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
        table = shop.physical_id("Shop/Table")

        def put(key: str, days: int) -> None:
            ends = {"N": str(round(shop.clock.now()) + days * DAY_S)}
            made = {"TableName": table, "Item": {"pk": {"S": key}, "ends": ends}}
            call = {"service": "dynamodb", "do": "put_item", "with": made}
            shop.invoke("Shop/Act", {"calls": [call]})

        def put_twice() -> None:
            put("soon", 10)
            put("late", 10)
            shop.run_for(4 * DAY_S)
            put("soon", 0)
            shop.run_for(26 * DAY_S)
            put("late", 0)

        used = metered(shop, put_twice)
        days = used["table_gb_month", "until items expire"] * GB * MONTH_S / DAY_S
        size = 2 + 4 + 4 + 6 + ITEM
        assert days == pytest.approx(size * (4 + 10), rel=0.02)

    def test_an_item_that_stays_counts_for_a_year(self, shop: Rehearsal) -> None:
        used = write(shop, ("put_item", {"Item": item()}), ("put_item", {"Item": item("b")}))
        stored = 2 * (3 + ITEM) / GB * YEAR_S / MONTH_S
        found = used["table_gb_month", "items that stay, for a year"]
        assert found == pytest.approx(stored)

    @pytest.mark.own_behaviour
    def test_what_no_function_does_is_not_counted(self, shop: Rehearsal) -> None:
        put = shop.client("dynamodb").put_item
        used = metered(shop, lambda: put(TableName=shop.physical_id("Shop/Table"), Item=item()))
        assert {price for price, _ in used if price.startswith(("write", "table"))} == set()


class TestQueues:
    """https://aws.amazon.com/sqs/pricing/."""

    def shop(self, template: Cloud, rehearse: Rehearse, code: str, **mapping: Any) -> Rehearsal:
        template.add("Dead", "AWS::SQS::Queue")
        template.queue("Queue", dead_letters="Dead", receives=2, VisibilityTimeout=60)
        template.function("Take", code)
        template.function("Act", ACT)
        template.mapping("Mapping", arn("Queue"), "Take", **mapping)
        return rehearse()

    def send(self, shop: Rehearsal, *bodies: str) -> Counter[Any]:
        url = shop.physical_id("Shop/Queue")
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
        return calls(shop, "sqs", ("send_message_batch", {"QueueUrl": url, "Entries": entries}))

    def test_a_batch_is_one_request_to_send_to_receive_and_to_delete(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        shop = self.shop(template, rehearse, "def handler(event, context): pass", BatchSize=10)
        used = self.send(shop, *"abcdefghij")
        assert used["queue_request", "calls of functions"] == 1
        assert used["queue_request", "receives"] == 1
        assert used["queue_request", "deletes"] == 1

    def test_each_64_kilobytes_of_a_batch_are_a_request(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        shop = self.shop(template, rehearse, "def handler(event, context): pass", BatchSize=10)
        used = self.send(shop, "x" * 65_000, "y" * 65_000)
        assert used["queue_request", "calls of functions"] == 2
        assert used["queue_request", "receives"] == 2
        assert used["queue_request", "deletes"] == 1

    def test_a_retry_is_received_again_and_a_dead_letter_is_moved_for_nothing(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        shop = self.shop(template, rehearse, "def handler(event, context): 1 / 0", BatchSize=1)
        used = self.send(shop, "a")
        assert shop.queue_depths()["Shop/Dead"] == 1
        assert used["queue_request", "receives"] == 2
        assert used["function_request", "invocations"] == 1 + 2
        assert not used["queue_request", "deletes"]

    def test_messages_of_polled_queues_are_counted_for_empty_polls(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""
        shop = self.shop(template, rehearse, "def handler(event, context): pass")
        metering = Metering(shop)
        client = shop.client("sqs")
        client.send_message(QueueUrl=shop.physical_id("Shop/Queue"), MessageBody="a")
        shop.run_until_idle()
        assert metering.messages == {"Shop/Queue": 1}


def test_a_classic_bus_bills_events_and_their_archive_but_no_delivery(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://aws.amazon.com/eventbridge/pricing/"""
    template.bus("Bus")
    template.queue("Queue")
    template.rule("Rule", {"source": ["shop"]}, {"Arn": arn("Queue")})
    template.add("Archive", "AWS::Events::Archive", SourceArn=arn("Bus"), RetentionDays=10)
    template.function("Act", ACT)
    shop = rehearse()
    entry = {"Source": "shop", "DetailType": "Sold", "EventBusName": shop.physical_id("Shop/Bus")}
    entries = [{**entry, "Detail": json.dumps({"x": "y" * size})} for size in (1, 70_000)]
    used = calls(shop, "events", ("put_events", {"Entries": entries}))
    assert used["event", "events published"] == 1 + 2
    assert used["queue_request", "messages sent by services"] == 1 + 2
    gb = used["archive_gb", "events archived"]
    assert 70_000 < gb * GB < 71_000
    assert used["archive_gb_month", "events archived"] == pytest.approx(gb * 10 * DAY_S / MONTH_S)


def test_a_custom_bus_bills_kilobytes_in_and_out_retention_and_expressions(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://github.com/aws/agent-toolkit-for-aws/blob/main/skills/specialized-skills/serverless-skills/amazon-eventbridge-event-bus/references/cost-and-quotas.md"""
    retained = {"RetentionPeriodInDays": 10}
    template.add("Bus", "AWS::EventsV2::EventBus", Name="bus", StorageConfiguration=retained)
    template.queue("Queue")
    template.role("Role")
    expression = {"SqsParameters": {"MessageGroupId": "{% $events.Data.source %}"}}
    for name, parameters in (("Plain", {}), ("Grouped", expression)):
        invoked = {"TargetArn": arn("Queue"), "RoleArn": arn("Role"), **parameters}
        template.add(
            name,
            "AWS::EventsV2::Subscriber",
            Name=name,
            EventBusArn=ref("Bus"),
            InvokeConfiguration=invoked,
        )
    template.function("Act", ACT)
    shop = rehearse()
    detail = json.dumps({"x": "y" * 2000})
    entry = {"Source": "shop", "DetailType": "Sold", "Detail": detail}
    bus = shop.physical_id("Shop/Bus")
    used = calls(shop, "eventbridgev2", ("put_events", {"EventBusArn": bus, "Entries": [entry]}))
    assert used["custom_bus_kb_in", "events published"] == 3
    assert used["custom_bus_kb_out", "events delivered"] == 2 * 3
    assert used["custom_bus_enriched", "expressions"] == 1
    month = used["custom_bus_gb_month", "events retained"] * GB * MONTH_S / (10 * DAY_S)
    assert 2000 < month < 2500
    assert not used["event", "events published"]


def test_a_topic_bills_publishes_and_http_but_no_delivery_to_queues(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://aws.amazon.com/sns/pricing/"""
    template.queue("Queue")
    template.add("Topic", "AWS::SNS::Topic")
    grant = template.resources["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"][0]
    grant["Principal"]["Service"] = "sns.amazonaws.com"
    for name, protocol, endpoint in (
        ("ToQueue", "sqs", arn("Queue")),
        ("Filtered", "https", "https://example.com/other"),
        ("ToWeb", "https", "https://example.com/hook"),
    ):
        body = {"FilterPolicyScope": "MessageBody", "FilterPolicy": {"kind": ["none"]}}
        template.add(
            name,
            "AWS::SNS::Subscription",
            TopicArn=ref("Topic"),
            Protocol=protocol,
            Endpoint=endpoint,
            **(body if name == "Filtered" else {}),
        )
    template.function("Act", ACT)
    shop = rehearse()
    topic = shop.physical_id("Shop/Topic")
    used = calls(shop, "sns", ("publish", {"TopicArn": topic, "Message": "x" * 65_400}))
    assert used["topic_request", "publishes"] == 1
    assert used["topic_http_delivery", "deliveries"] == 1
    assert used["topic_filtered_gb", "filters on bodies"] * GB == pytest.approx(65_400)
    # In its envelope, it is larger than 64 KB.
    assert used["queue_request", "messages sent by services"] == 2


def test_a_topic_that_a_bus_publishes_to_bills_the_same(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://aws.amazon.com/sns/pricing/"""
    template.bus("Bus")
    template.add("Topic", "AWS::SNS::Topic")
    allowed = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}}
    statement = {**allowed, "Action": "sns:Publish", "Resource": ref("Topic")}
    template.add(
        "TopicPolicy",
        "AWS::SNS::TopicPolicy",
        Topics=[ref("Topic")],
        PolicyDocument={"Statement": [statement]},
    )
    template.add(
        "ToWeb",
        "AWS::SNS::Subscription",
        TopicArn=ref("Topic"),
        Protocol="https",
        Endpoint="https://example.com/hook",
        FilterPolicyScope="MessageBody",
        FilterPolicy={"source": ["none"]},
    )
    template.rule("Rule", {"source": ["shop"]}, {"Arn": ref("Topic")})
    template.function("Act", ACT)
    shop = rehearse()
    entry = {"Source": "shop", "DetailType": "Sold", "EventBusName": shop.physical_id("Shop/Bus")}
    entries = [{**entry, "Detail": json.dumps({"x": "y" * 2000})}]
    used = calls(shop, "events", ("put_events", {"Entries": entries}))
    assert used["topic_request", "publishes"] == 1
    assert 2000 < used["topic_filtered_gb", "filters on bodies"] * GB < 2500


def test_a_stream_on_demand_bills_whole_kilobytes_for_each_reader(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://aws.amazon.com/kinesis/data-streams/pricing/"""
    mode = {"StreamMode": "ON_DEMAND"}
    template.add("Stream", "AWS::Kinesis::Stream", StreamModeDetails=mode, RetentionPeriodHours=48)
    template.function("Read", "def handler(event, context): pass")
    for name in ("One", "Two"):
        template.mapping(name, arn("Stream"), "Read", StartingPosition="TRIM_HORIZON")
    template.function("Act", ACT)
    shop = rehearse()
    records = [{"Data": "x" * size, "PartitionKey": "k"} for size in (1, 1023, 1024)]
    stream = shop.physical_id("Shop/Stream")
    used = calls(shop, "kinesis", ("put_records", {"StreamName": stream, "Records": records}))
    kilobytes = 1 + 1 + 2
    assert used["stream_gb_in", "records put"] * GB == pytest.approx(kilobytes * 1024)
    assert used["stream_gb_out", "records read"] * GB == pytest.approx(2 * kilobytes * 1024)
    kept = kilobytes * 1024 / GB * DAY_S / MONTH_S
    assert used["stream_gb_month", "records kept"] == pytest.approx(kept)


FLAKY = """
    tries = []
    def handler(event, context):
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("again")
"""


class TestWorkflows:
    """https://aws.amazon.com/step-functions/pricing/."""

    def shop(self, template: Cloud, rehearse: Rehearse, kind: str) -> Rehearsal:
        template.function("Flaky", FLAKY)
        retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 5}
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "${Flaky}", "Payload.$": "$"},
            "Retry": [retry],
            "Next": "Done",
        }
        definition = {"StartAt": "Try", "States": {"Try": task, "Done": {"Type": "Succeed"}}}
        template.add(
            "Machine",
            "AWS::StepFunctions::StateMachine",
            DefinitionString={"Fn::Sub": json.dumps(definition)},
            RoleArn=arn("Role"),
            StateMachineType=kind,
        )
        return rehearse()

    def run(self, shop: Rehearsal) -> Counter[Any]:
        machine = shop.physical_id("Shop/Machine")
        start = shop.client("stepfunctions").start_execution
        return metered(shop, lambda: start(stateMachineArn=machine, input="{}"))

    def test_each_step_and_each_retry_is_a_transition(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        used = self.run(self.shop(template, rehearse, "STANDARD"))
        assert used["transition", "states"] == 2
        assert used["transition", "retries"] == 2
        # AWS publishes each change of status on the default bus, for nothing.
        assert not used["event", "events published"]
        assert not used["express_request", "executions"]

    def test_an_express_execution_is_a_request_and_its_duration(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        used = self.run(self.shop(template, rehearse, "EXPRESS"))
        assert used["express_request", "executions"] == 1
        # Two retries, after one second and after two.
        assert used["express_gb_second", "duration"] == pytest.approx(3.0 * 64 / 1024)
        assert not used["transition", "states"]


class TestFunctions:
    """https://aws.amazon.com/lambda/pricing/."""

    SLEEP = "import time\ndef handler(event, context): time.sleep(0.0101)"

    def shop(
        self, template: Cloud, rehearse: Rehearse, latency: Latency, **properties: Any
    ) -> Rehearsal:
        template.function("Sleep", self.SLEEP, MemorySize=1024, **properties)
        return rehearse(latency=latency)

    @pytest.mark.parametrize(
        ("architecture", "price"),
        [("x86_64", "function_gb_second"), ("arm64", "function_gb_second_arm")],
    )
    def test_duration_is_billed_by_architecture_and_without_initialization(
        self, template: Cloud, rehearse: Rehearse, architecture: str, price: str
    ) -> None:
        cold = Latency(cold_start_s=(0.3, 0.3), api_call_s=(0, 0))
        shop = self.shop(template, rehearse, cold, Architectures=[architecture])
        used = metered(shop, lambda: shop.invoke("Shop/Sleep", {}))
        assert used["function_request", "invocations"] == 1
        assert used[price, "duration"] == pytest.approx(0.011)

    def test_code_takes_longer_with_less_memory(self, template: Cloud, rehearse: Rehearse) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
        code = (
            "import boto3\ndef handler(event, context): boto3.client('sts').get_caller_identity()"
        )
        for name, memory in (("Small", 512), ("Large", 3008)):
            template.function(name, code, MemorySize=memory)
        cpu = Latency(
            cold_start_s=(0, 0),
            api_call_s=(0, 0),
            handler_cpu_s=BILLED.handler_cpu_s,
            call_cpu_s=BILLED.call_cpu_s,
        )
        shop = rehearse(latency=cpu)
        for name in ("Small", "Large"):
            shop.invoke(f"Shop/{name}", {})
        small, large = shop.meter.of("invocation")
        whole = BILLED.handler_cpu_s + BILLED.call_cpu_s
        assert large.detail["duration_s"] == pytest.approx(whole)
        assert small.detail["duration_s"] == pytest.approx(whole * 1769 / 512, rel=1e-4)

    def test_large_asynchronous_events_are_more_requests(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        shop = self.shop(template, rehearse, NONE)
        name, payload = shop.physical_id("Shop/Sleep"), json.dumps("x" * 300_000)
        client = shop.client("lambda")
        used = metered(
            shop,
            lambda: client.invoke(FunctionName=name, InvocationType="Event", Payload=payload),
        )
        assert used["function_request", "invocations"] == 1
        assert used["function_request", "further 64 KB of events"] == 1

    @pytest.mark.parametrize(("mode", "traces"), [("Active", 2 + 0.05), ("PassThrough", 0)])
    def test_traces_are_sampled_for_each_function_with_active_tracing(
        self, template: Cloud, rehearse: Rehearse, mode: str, traces: float
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"""
        shop = self.shop(template, rehearse, NONE, TracingConfig={"Mode": mode})

        def use() -> None:
            shop.invoke("Shop/Sleep", {})
            shop.invoke("Shop/Sleep", {})
            shop.run_for(5)
            shop.invoke("Shop/Sleep", {})

        assert metered(shop, use)["trace", "traces"] == pytest.approx(traces)


def test_log_events_count_their_bytes_and_26_more_and_are_stored_until_they_expire(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""
    template.add("Logs", "AWS::Logs::LogGroup", RetentionInDays=30)
    logging = {"LogFormat": "JSON", "LogGroup": ref("Logs"), "SystemLogLevel": "WARN"}
    metric = {
        "_aws": {
            "Timestamp": 1_767_600_000_000,
            "CloudWatchMetrics": [
                {"Namespace": "Shop", "Dimensions": [["kind"]], "Metrics": [{"Name": "Sold"}]}
            ],
        },
        "kind": "book",
        "Sold": 1,
    }
    code = f"import json\ndef handler(event, context): print('é'), print(json.dumps({metric}))"
    template.function("Log", code, LoggingConfig=logging)
    shop = rehearse()
    shop.invoke("Shop/Log", {})
    metering = Metering(shop)
    shop.invoke("Shop/Log", {})
    (name,) = (function.log_group for function in shop.functions)
    used = {use.kind: units for use, units in metering.uses().items() if use.price == "log_gb"}
    lines = shop.logs("Shop/Log").splitlines()[2:]
    size = sum(len(line.encode()) + LOG_EVENT for line in lines)
    assert name
    assert used == {"log events": pytest.approx(size / GB)}
    metrics = [use for use in metering.per_month if use.price == "metric"]
    assert [metering.per_month[use] for use in metrics] == [1]


def test_a_request_to_an_http_api_counts_its_512_kilobytes(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://aws.amazon.com/api-gateway/pricing/"""
    api(template)
    template.function("Take", "def handler(event, context): return {'statusCode': 200}")
    route(template, "POST /a", "Take", open_=True)
    shop = rehearse()

    def use() -> None:
        for size in (1, 524_289):
            shop.http.request("POST", "/a", body="x" * size)

    assert metered(shop, use)["http_api_request", "POST /a"] == 1 + 2


def test_a_schedule_of_a_template_costs_the_same_each_month_however_many_orders_come(
    template: Cloud, rehearse: Rehearse
) -> None:
    """https://aws.amazon.com/eventbridge/pricing/"""
    template.queue("Queue")
    template.function("Sweep", "def handler(event, context): pass")
    template.mapping("Mapping", arn("Queue"), "Sweep")
    template.add(
        "Schedule",
        "AWS::Scheduler::Schedule",
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn("Queue"), "RoleArn": arn("Role")},
    )
    shop = rehearse()
    metering = Metering(shop)
    shop.run_for(99.5 * 3600)
    assert metering.uses() == {}
    found = {use.price: units for use, units in metering.per_month.items()}
    assert found["schedule_invocation"] == pytest.approx(730, rel=0.01)
    assert found["function_request"] == pytest.approx(730, rel=0.01)
    assert found["queue_request"] > 0


def test_each_request_for_a_secret_counts(template: Cloud, rehearse: Rehearse) -> None:
    template.add("Secret", "AWS::SecretsManager::Secret", SecretString="s")
    template.function("Act", ACT)
    shop = rehearse()
    secret = {"SecretId": shop.physical_id("Shop/Secret")}
    used = calls(shop, "secretsmanager", ("get_secret_value", secret))
    assert used["secret_request", "GetSecretValue"] == 1


def test_a_call_of_a_service_that_is_not_known_has_no_price(
    template: Cloud, rehearse: Rehearse
) -> None:
    template.function("Act", ACT)
    shop = rehearse()
    used = calls(shop, "ec2", ("describe_regions", {}))
    assert used["a call of ec2", "DescribeRegions"] == 1


class TestSoFar:
    """What is counted while it goes on."""

    @pytest.fixture
    def shop(self, template: Cloud, rehearse: Rehearse) -> Rehearsal:
        template.table("Table")
        template.function("Act", ACT, TracingConfig={"Mode": "Active"})
        template.function("Say", "def handler(event, context): print(event)")
        return rehearse()

    def use(self, shop: Rehearsal, number: int) -> None:
        made = {"TableName": shop.physical_id("Shop/Table"), "Item": item(size=number)}
        call = {"service": "dynamodb", "do": "put_item", "with": made}
        shop.invoke("Shop/Act", {"calls": [call]})
        shop.invoke("Shop/Say", {"number": number, "text": "the same words again " * number})
        shop.run_for(1)

    def test_sums_that_are_read_again_and_again_are_those_that_are_read_once(
        self, shop: Rehearsal
    ) -> None:
        often, once = Metering(shop), Metering(shop)
        for number in range(1, 6):
            self.use(shop, number)
            found = often.so_far()
        assert found == pytest.approx(once.so_far())
        assert {"log_gb_month", "table_gb_month", "trace", "write_unit"} <= {
            use.price for use in found
        }
        assert often.uses() == pytest.approx(found)

    def test_the_bill_so_far_has_schedules_polls_and_custom_metrics_for_the_time_so_far(
        self, template: Cloud, rehearse: Rehearse
    ) -> None:
        template.queue("Queue")
        template.function("Sweep", "def handler(event, context): pass")
        template.mapping("Mapping", arn("Queue"), "Sweep")
        template.add(
            "Schedule",
            "AWS::Scheduler::Schedule",
            ScheduleExpression="rate(1 hour)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": arn("Queue"), "RoleArn": arn("Role")},
        )
        shop = rehearse()
        metering = Metering(shop)
        shop.run_for(99.5 * 3600)
        bill = metering.bill_so_far(prices("us-east-1"))
        assert bill.units("schedule_invocation") == pytest.approx(100, abs=1)
        (poll,) = bill.polls
        assert poll.units == pytest.approx(99.5 * 3600 * POLLERS / POLL_S, rel=0.01)

    @pytest.mark.parametrize("latency", [BILLED, Latency()])
    def test_handlers_take_the_time_of_their_code_if_the_rehearsal_gives_them_none(
        self, template: Cloud, rehearse: Rehearse, latency: Latency
    ) -> None:
        template.table("Table")
        template.function("Act", ACT, MemorySize=1769)
        shop = rehearse(latency=replace(latency, api_call_s=(0.004, 0.004)))
        metering = Metering(shop, code=BILLED)
        self.use_table(shop)
        found = {use.kind: units for use, units in metering.so_far().items()}
        code_s = BILLED.handler_cpu_s + BILLED.call_cpu_s
        assert found["duration"] == pytest.approx((0.004 + code_s) * 1769 / 1024, rel=0.1)

    def use_table(self, shop: Rehearsal) -> None:
        made = {"TableName": shop.physical_id("Shop/Table"), "Item": item()}
        shop.invoke(
            "Shop/Act", {"calls": [{"service": "dynamodb", "do": "put_item", "with": made}]}
        )
