"""The command line of `make redrive`."""

from datetime import UTC, datetime
from typing import Annotated, Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from cdk_rehearsal.replays import Redrive, Refused
from tools.deployed import resources_of

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

client: Any = boto3.client
"""Returns a client of a service of AWS."""


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
        found = _redrive_of(stage, context, consumer)
        typer.echo(_finished(found) if done else _begun(found, since, until))
    except (Refused, ValueError, BotoCoreError, ClientError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _redrive_of(stage: str, context: str, consumer: str) -> Redrive:
    """Finds a consumer's subscriber by its names. Raises Refused if there is none."""
    stack = f"orderflow-{stage}-{context}"
    subscribers = resources_of(client("cloudformation"), stack, "AWS::EventsV2::Subscriber")
    found = [arn for name, arn in subscribers.items() if name.startswith(f"{consumer}Subscriber")]
    if len(found) != 1:
        raise Refused(
            f"{len(found)} subscribers of {consumer} in {stack}: give context and consumer as "
            "in the name of the alarm; a stage on the classic bus has none"
        )
    stated = client("eventbridgev2").describe_subscriber(SubscriberArn=found[0])
    name = stated["OnFailureConfiguration"]["Arn"].rpartition(":")[2]
    return Redrive(client, stated, client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def _begun(redrive: Redrive, since: datetime | None, until: datetime | None) -> str:
    span = redrive.span(since, until)
    kept = redrive.begin(span)
    start = kept.start.astimezone(UTC).isoformat(timespec="seconds")
    lost = f"\nThe bus retains no events before {start}." if kept.start > span.start else ""
    return (
        f"Events {kept} are delivered again.{lost}\nGive the option --done when they have arrived."
    )


def _finished(redrive: Redrive) -> str:
    if not redrive.is_running:
        raise Refused("nothing is delivered again: give the command without --done first")
    return f"{redrive.finish()} records were deleted."


def main() -> None:
    """Entry point of `python -m tools.redrive`."""
    app(prog_name="python -m tools.redrive")
