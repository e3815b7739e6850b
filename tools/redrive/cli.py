"""The command line of `make redrive`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from tools.redrive.replay import Span, records, replay, retained, span_of, temporary

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

client: Any = boto3.client
"""Returns a client of a service of AWS."""


class Refused(Exception):
    """The command cannot do what it was asked for; the message says why, and what to do."""


@app.command()
def redrive(
    context: Annotated[str, typer.Argument(help="The context of the consumer.")],
    consumer: Annotated[str, typer.Argument(help="Its name, as in the name of its alarm.")],
    stage: Annotated[str, typer.Option(help="The stage.")] = "prod",
    since: Annotated[
        datetime | None,
        typer.Option(help="The first event, in UTC. Default: the first one that was given up."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(help="The end, in UTC. Default: just after the last one that was given up."),
    ] = None,
    done: Annotated[
        bool, typer.Option("--done", help="Delete the records and the temporary subscriber.")
    ] = False,
) -> None:
    """Delivers the events again that the bus could not deliver to a consumer."""
    try:
        redrive = Redrive.of(stage, context, consumer)
        typer.echo(redrive.finish() if done else redrive.begin(since, until))
    except (Refused, ValueError, BotoCoreError, ClientError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


@dataclass(frozen=True)
class Redrive:
    """A consumer's subscriber and its dead-letter queue."""

    subscriber: dict[str, Any]
    queue: str
    """The URL of the dead-letter queue."""

    @classmethod
    def of(cls, stage: str, context: str, consumer: str) -> "Redrive":
        """Finds a consumer by its names. Raises Refused if there is none."""
        stack = f"orderflow-{stage}-{context}"
        pages = client("cloudformation").get_paginator("list_stack_resources")
        found = [
            each["PhysicalResourceId"]
            for page in pages.paginate(StackName=stack)
            for each in page["StackResourceSummaries"]
            if each["ResourceType"] == "AWS::EventsV2::Subscriber"
            and each["LogicalResourceId"].startswith(f"{consumer}Subscriber")
        ]
        if len(found) != 1:
            raise Refused(
                f"{len(found)} subscribers of {consumer} in {stack}: give context and consumer as "
                "in the name of the alarm; a stage on the classic bus has none"
            )
        stated = client("eventbridgev2").describe_subscriber(SubscriberArn=found[0])
        name = stated["OnFailureConfiguration"]["Arn"].rpartition(":")[2]
        return cls(stated, client("sqs").get_queue_url(QueueName=name)["QueueUrl"])

    def begin(self, since: datetime | None, until: datetime | None) -> str:
        """Begins to deliver events again. Raises Refused without a span of time."""
        with records(client("sqs"), self.queue) as given_up:
            span = span_of(given_up)
        if span is None and not (since and until):
            raise Refused("no events were given up: give --since and --until to deliver others")
        start = since.replace(tzinfo=UTC) if since else span.start if span else datetime.now(UTC)
        end = until.replace(tzinfo=UTC) if until else span.end if span else datetime.now(UTC)
        bus = client("eventbridgev2")
        kept = retained(bus, self.subscriber["EventBusArn"], Span(start, end))
        replay(bus, self.subscriber["SubscriberArn"], kept)
        lost = (
            f"\nThe bus retains no events before {_said(kept.start)}." if kept.start > start else ""
        )
        return (
            f"Events from {_said(kept.start)} to {_said(kept.end)} are delivered again.{lost}\n"
            "Give the option --done when they have arrived."
        )

    def finish(self) -> str:
        """Deletes the records and the temporary subscriber.

        Raises Refused if fewer events were delivered again than were given up.
        """
        bus, sqs = client("eventbridgev2"), client("sqs")
        found = temporary(bus, self.subscriber)
        if not found:
            raise Refused("nothing is delivered again: give the command without --done first")
        with records(sqs, self.queue) as given_up:
            missing = sum(len(each.times) for each in given_up) - self._delivered(found[0])
            if missing > 0:
                raise Refused(f"{missing} events have not arrived yet: try again in a while")
            bus.delete_subscriber(SubscriberArn=found[0]["SubscriberArn"])
            count = len(given_up)
            while given_up:
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=given_up[-1].receipt)
                given_up.pop()
        return f"{count} records were deleted."

    def _delivered(self, temporary: dict[str, Any]) -> int:
        """Counts what a temporary subscriber has delivered.

        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-custom-bus-observability.html
        """
        answer = client("cloudwatch").get_metric_statistics(
            Namespace="AWS/EventsV2",
            MetricName="EventsDelivered",
            Dimensions=[
                {"Name": "EventBus", "Value": self.subscriber["EventBusArn"]},
                {"Name": "Subscriber", "Value": temporary["SubscriberArn"]},
            ],
            StartTime=temporary["CreationTime"] - timedelta(minutes=5),
            EndTime=datetime.now(UTC) + timedelta(minutes=5),
            Period=3600,
            Statistics=["Sum"],
        )
        return int(sum(each["Sum"] for each in answer["Datapoints"]))


def _said(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def main() -> None:
    """Entry point of `python -m tools.redrive`."""
    app(prog_name="python -m tools.redrive")
