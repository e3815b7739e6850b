"""moto's own limits: their values are those of the table."""

from moto.dynamodb import responses as dynamodb_responses
from moto.dynamodb.models import table as dynamodb_table
from moto.logs import models as logs_models
from moto.sns import models as sns_models
from moto.sqs import models as sqs_models
from moto.sqs import responses as sqs_responses

from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.sandbox.patching import Patches

_CONSTANTS = (
    (dynamodb_responses, "TRANSACTION_MAX_ITEMS", "dynamodb.transaction_items"),
    (dynamodb_table, "HASH_KEY_MAX_LENGTH", "dynamodb.partition_key_bytes"),
    (dynamodb_table, "RANGE_KEY_MAX_LENGTH", "dynamodb.sort_key_bytes"),
    (dynamodb_table, "RESULT_SIZE_LIMIT", "dynamodb.page_bytes"),
    (logs_models, "MAX_RESOURCE_POLICIES_PER_REGION", "logs.resource_policies"),
    (sns_models, "MAXIMUM_MESSAGE_LENGTH", "sns.maximum_message_bytes"),
    (sns_models, "MAXIMUM_SMS_MESSAGE_BYTES", "sns.sms_characters"),
    (sqs_models, "MAXIMUM_MESSAGE_LENGTH", "sqs.batch_bytes"),
    (sqs_models, "MAXIMUM_MESSAGE_SIZE_ATTR_UPPER_BOUND", "sqs.message_bytes"),
    (sqs_models, "MAXIMUM_VISIBILITY_TIMEOUT", "sqs.visibility_s"),
    (sqs_responses, "MAXIMUM_VISIBILITY_TIMEOUT", "sqs.visibility_s"),
)


def patch(patches: Patches) -> None:
    """Gives moto the values that apply now."""
    for module, name, limit in _CONSTANTS:
        patches.set(module, name, LIMITS[limit])
