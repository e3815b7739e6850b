"""A typical handler, which imports and creates everything at module level."""

from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import EventBridgeModel
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

logger = Logger(service="reference")
metrics = Metrics(namespace="Reference", service="reference")
tracer = Tracer(service="reference")
processor = BatchProcessor(event_type=EventType.SQS)
dynamodb = boto3.client("dynamodb")
once = DynamoDBPersistenceLayer(table_name="reference-idempotency")
configuration = IdempotencyConfig(event_key_jmespath="order_id")


class ReferenceLine(BaseModel):
    """An item, its quantity and price."""

    sku: str = Field(pattern=r"^[A-Z0-9-]{1,40}$")
    quantity: int = Field(ge=1, le=999)
    unit_price_minor: int = Field(ge=0)


class ReferenceOrder(BaseModel):
    """An order in an event."""

    order_id: str
    customer_id: str
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    lines: list[ReferenceLine] = Field(min_length=1, max_length=200)


def record(*, order: dict[str, Any]) -> None:
    """Writes an order."""
    parsed = parse(order, model=ReferenceOrder)
    dynamodb.put_item(TableName="reference", Item={"pk": {"S": parsed.order_id}})
    metrics.add_metric(name="Orders", unit=MetricUnit.Count, value=1)


record_once = idempotent_function(
    record, data_keyword_argument="order", persistence_store=once, config=configuration
)


@tracer.capture_method
def react(message: SQSRecord) -> None:
    """Handles a message of the queue."""
    record_once(order=parse(message.json_body, model=EventBridgeModel).detail)


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handles a batch of messages."""
    return process_partial_response(event, react, processor, context)
