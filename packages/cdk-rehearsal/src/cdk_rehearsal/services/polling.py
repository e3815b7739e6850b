"""What AWS does with the role of a function or pipe: polling sources, and logs and traces."""

from collections.abc import Iterator, Mapping, Sequence

from cdk_rehearsal.authorization.decisions import Denied
from cdk_rehearsal.core import Core
from cdk_rehearsal.services.functions import Consumer, Function

_POLLING: Mapping[str, Sequence[str]] = {
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    "sqs": ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"),
    # https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
    "dynamodb": ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"),
    # https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
    "kinesis": (
        *("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator"),
        "ListShards",
    ),
}
_LOGGING = ("logs:CreateLogStream", "logs:PutLogEvents")
"""https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"""
_TRACING = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")
"""https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html"""


def lacking(core: Core, consumer: Consumer, source_arn: str) -> str:
    """Returns why a source may not be polled for a function or pipe; empty if it may.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-permissions.html
    """
    return _first_refusal(core, consumer, _actions(source_arn))


def _actions(source_arn: str) -> Iterator[tuple[str, str]]:
    service = source_arn.split(":")[2]
    for name in _POLLING[service]:
        yield f"{service}:{name}", source_arn


def may_log(core: Core, function: Function) -> bool:
    """Whether the output of a function reaches its log group."""
    group = f"arn:aws:logs:{core.region}:{core.account}:log-group:{function.log_group}"
    stream = f"{group}:log-stream:{function.variables['AWS_LAMBDA_LOG_STREAM_NAME']}"
    return not _first_refusal(core, function, ((action, stream) for action in _LOGGING))


def refused_traces(core: Core, function: Function) -> str:
    """Returns why a function may not send traces; empty if it may."""
    return _first_refusal(core, function, ((action, "*") for action in _TRACING))


def _first_refusal(core: Core, consumer: Consumer, needed: Iterator[tuple[str, str]]) -> str:
    principal = core.access.session(consumer.role, consumer.name)
    try:
        for action, resource in needed:
            core.access.authorize(principal, action, resource)
    except Denied as denied:
        return str(denied)
    return ""
