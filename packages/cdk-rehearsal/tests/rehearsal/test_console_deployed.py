"""The console of a deployed application: it shares nothing with a rehearsal but the AWS API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from cdk_rehearsal import Rehearsal
from rehearsal.cloud import Cloud, arn
from rehearsal.conftest import Rehearse
from rehearsal.test_console import MONOTONIC, client

_LONGEST_S = 60


@pytest.fixture
def shop(template: Cloud, rehearse: Rehearse) -> Rehearsal:
    """A bus, a rule, a queue with a dead-letter queue, an alarm, and a function."""
    template.bus("Bus")
    template.queue("Dead")
    template.queue("Orders", dead_letters="Dead", receives=2, VisibilityTimeout=30)
    template.rule("Placed", {"source": ["shop"]}, {"Arn": arn("Orders")})
    template.function(
        "Ship",
        """
        import json

        def handler(event, context):
            for record in event["Records"]:
                detail = json.loads(record["body"])["detail"]
                ids = {"correlation_id": detail["correlationid"], "causation_id": detail["id"]}
                print(json.dumps({"level": "INFO", "message": "shipped", **ids}))
        """,
        LoggingConfig={"LogFormat": "JSON"},
    )
    template.mapping("Mapping", arn("Orders"), "Ship")
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
    return rehearse()


class Command:
    """The command `rehearse console` in a process of its own."""

    def __init__(self, shop: Rehearsal, *options: str, **environment: str) -> None:
        self._shop = shop
        path = os.pathsep.join(filter(None, sys.path))
        arguments = ["console", str(shop.assembly.directory), "--json", *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cdk_rehearsal", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": path,
                "HOME": "/nonexistent",
                "AWS_ENDPOINT_URL": shop.serve(),
                "AWS_REGION": shop.region,
                "AWS_ACCESS_KEY_ID": "operator",
                "AWS_SECRET_ACCESS_KEY": "secret",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = ""

    def start(self) -> Command:
        """Waits until the page is served."""
        assert self.process.stdout is not None
        output = self.process.stdout

        def read() -> None:
            line = output.readline()
            self.url = json.loads(line)["console"] if line else ""

        self.while_running(read)
        assert self.url, self.process.communicate()[1]
        return self

    def while_running(self, run: Callable[[], object]) -> None:
        """Does something in a thread, while the rehearsal goes on."""
        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            self._shop.run_for(0.05)
            thread.join(0.02)

    def get(self, path: str) -> Any:
        """Returns what the page's server answers."""
        return self._request("GET", path)

    def command(self, do: str, **arguments: object) -> Any:
        """Returns the answer to a command."""
        return self._request("POST", "command", {"do": do, **arguments})

    def _request(self, method: str, path: str, body: object = None) -> Any:
        parts = urlsplit(self.url)
        answers: list[Any] = []

        def send() -> None:
            with client(parts.port or 0) as connection:
                headers = {"Origin": f"http://{parts.netloc}", "Host": parts.netloc}
                text = None if body is None else json.dumps(body)
                connection.request(method, parts.path + path, text, headers)
                response = connection.getresponse()
                answer = response.read()
                answers.append(json.loads(answer) if response.status == 200 else None)

        self.while_running(send)
        return answers[0]

    def until(self, path: str, done: Callable[[Any], bool]) -> Any:
        """Asks the page's server again and again, until the answer is as wanted."""
        end = MONOTONIC() + _LONGEST_S
        while not done(answer := self.get(path)):
            assert MONOTONIC() < end, answer
            self.while_running(lambda: threading.Event().wait(0.2))
        return answer

    def close(self) -> None:
        """Interrupts the command."""
        self.process.terminate()
        self.while_running(self.process.communicate)


@pytest.fixture
def console(shop: Rehearsal) -> Iterator[Command]:
    command = Command(shop, "--minutes", "60").start()
    yield command
    command.close()


def put(shop: Rehearsal, number: int = 1, **detail: object) -> None:
    body = {"id": f"event-{number}", "correlationid": "order-1", **detail}
    bus = shop.physical_id("Shop/Bus")
    entry = {"Source": "shop", "DetailType": "OrderPlaced", "EventBusName": bus}
    shop.client("events").put_events(Entries=[{**entry, "Detail": json.dumps(body)}])


def rows(console: Command) -> list[list[float]]:
    """The rows so far, as a browser gets them."""
    parts = urlsplit(console.url)
    found: list[list[float]] = []

    def read() -> None:
        with client(parts.port or 0) as connection:
            connection.request("GET", parts.path + "stream", headers={"Host": parts.netloc})
            response = connection.getresponse()
            while line := response.readline():
                if line.startswith(b"data: ") and b'"rows"' in line:
                    flat = json.loads(line[6:])["rows"]
                    found.extend(flat[at : at + 6] for at in range(0, len(flat), 6))
                    return

    console.while_running(read)
    return found


def test_it_shows_depths_alarms_and_traces_of_another_process(
    shop: Rehearsal, console: Command
) -> None:
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Dead"), MessageBody="one")
    put(shop, order_id="o-17")
    shop.run_for(90)
    trace = console.until("trace?of=order-1", lambda found: found is not None)

    assert [event["id"] for event in trace["events"]] == ["event-1"]
    assert ("log", "Shop/Ship", "shipped") in {
        (step["kind"], step["target"], step["says"]) for step in trace["steps"]
    }
    about = console.get("map")
    kinds, nodes = about["kinds"], [node["path"] for node in about["about"]["map"]["nodes"]]
    depths = [row[4] for row in rows(console) if kinds[int(row[1])] == "depth"]
    assert depths[-1] == 1
    assert nodes[int(rows(console)[-1][2])] == "Shop/Dead"
    assert [row[4] for row in rows(console) if kinds[int(row[1])] == "alarm"] == [1]
