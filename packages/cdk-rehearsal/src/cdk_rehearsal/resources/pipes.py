"""AWS::Pipes: pipes from queues and streams."""

from types import SimpleNamespace
from typing import Any

from cdk_rehearsal.deployment import Deployment
from cdk_rehearsal.filters import FilterCriteria
from cdk_rehearsal.properties import Properties
from cdk_rehearsal.resources.registry import Resource, creates
from cdk_rehearsal.services.pipes import ENRICHMENTS, SERVICE, TARGETS, Pipe
from cdk_rehearsal.services.polling import lacking
from cdk_rehearsal.services.queue_mapping import QueueMapping, QueueOptions
from cdk_rehearsal.services.stream_mapping import MappingOptions, StreamMapping


@creates("AWS::Pipes::Pipe")
def create_pipe(deployment: Deployment, resource: Resource, properties: Properties) -> None:
    """Creates a pipe.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-pipes-pipe.html
    """
    properties.ignore("Description", "KmsKeyIdentifier", "LogConfiguration", "Tags")
    name = properties.take("Name") or resource.generated_name(64)
    core = deployment.core
    arn = f"arn:aws:pipes:{core.region}:{core.account}:pipe/{name}"
    target, enrichment = properties.require("Target"), properties.take("Enrichment")
    if target.split(":")[2] not in TARGETS:
        raise properties.error(f"the rehearsal does not know targets such as {target}")
    if enrichment is not None and enrichment.split(":")[2] not in ENRICHMENTS:
        raise properties.error(f"the rehearsal does not know enrichments such as {enrichment}")
    stated = properties.section("TargetParameters")
    for kind in (
        *("EventBridgeEventBusParameters", "KinesisStreamParameters", "LambdaFunctionParameters"),
        *("SqsQueueParameters", "StepFunctionStateMachineParameters"),
    ):
        stated.section(kind).ignore(
            *("DetailType", "InvocationType", "MessageDeduplicationId", "MessageGroupId"),
            *("PartitionKey", "Resources", "Source"),
        )
    source = properties.require("Source")
    pipe = Pipe(
        resource.path,
        name,
        arn,
        properties.require("RoleArn"),
        target,
        stated.values,
        enrichment,
        properties.section("EnrichmentParameters").take("InputTemplate"),
        stated.take("InputTemplate"),
        _flattened if ":kinesis:" in source else _as_it_is,
    )
    _poll(deployment, properties, pipe, source)

    def check() -> None:
        if not core.access.is_assumable(pipe.role, service=SERVICE, source_arn=arn):
            raise properties.error(f"the role {pipe.role} does not let {SERVICE} assume it")
        if refusal := lacking(core, pipe, source):
            raise properties.error(f"the pipe's role does not permit to poll its source. {refusal}")

    deployment.checks.append((resource, check))
    resource.physical_id = name
    resource.attributes = {"Arn": arn}


def _poll(deployment: Deployment, properties: Properties, pipe: Pipe, source: str) -> None:
    parameters = properties.section("SourceParameters")
    filters = FilterCriteria(parameters.take("FilterCriteria"))
    model = SimpleNamespace(enabled=properties.take("DesiredState", "RUNNING") == "RUNNING")
    service = source.split(":")[2]
    if service == "sqs":
        part = parameters.section("SqsQueueParameters")
        queue = deployment.queues.by_arn(source)
        mapping = QueueMapping(
            deployment.core,
            deployment.pipes,
            queue,
            pipe,
            QueueOptions(
                batch_size=part.integer("BatchSize", 10),
                window_s=part.integer("MaximumBatchingWindowInSeconds", 0),
                maximum_concurrency=None,
                filters=filters,
                reports_failures=False,
            ),
        )
        mapping.attach(model)
        queue.on_change.append(mapping.wake)
    elif service in ("dynamodb", "kinesis"):
        name = "DynamoDBStreamParameters" if service == "dynamodb" else "KinesisStreamParameters"
        stream = StreamMapping(
            deployment.core,
            deployment.pipes,
            deployment.destinations,
            deployment.streams.read_by(source, pipe.role),
            pipe,
            _options(deployment, parameters.section(name), filters),
        )
        stream.attach(model)
        deployment.streams.add(stream)
    else:
        raise properties.error(f"the rehearsal does not know sources such as {source}")


def _options(deployment: Deployment, part: Properties, filters: FilterCriteria) -> MappingOptions:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-dynamodb.html."""
    part.only("StartingPosition", "LATEST", "TRIM_HORIZON")
    part.only("ParallelizationFactor", 1, "1")
    destination = part.section("DeadLetterConfig").take("Arn")
    if destination is not None:
        deployment.queues.dead_letter_arns.add(destination)
    return MappingOptions(
        from_start=part.take("StartingPosition") == "TRIM_HORIZON",
        batch_size=part.integer("BatchSize", 100),
        batching_window_s=part.integer("MaximumBatchingWindowInSeconds", 0),
        tumbling_window_s=0,
        filters=filters,
        reports_failures=False,
        bisects=part.take("OnPartialBatchItemFailure") == "AUTOMATIC_BISECT",
        maximum_retries=part.integer("MaximumRetryAttempts", -1),
        maximum_age_s=part.integer("MaximumRecordAgeInSeconds", -1),
        on_failure=destination,
    )


def _as_it_is(record: Any) -> Any:
    return record


def _flattened(record: dict[str, Any]) -> dict[str, Any]:
    """A record of a data stream, whose fields are not nested in a pipe.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-kinesis.html
    """
    return {**record["kinesis"], **{k: v for k, v in record.items() if k != "kinesis"}}
