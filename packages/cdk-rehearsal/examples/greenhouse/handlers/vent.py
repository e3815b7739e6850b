"""Opens the vent, and notes it on the reading."""

import os

import boto3


def handler(reading, context):
    """Marks the reading; returns it for the next state."""
    boto3.client("dynamodb").update_item(
        TableName=os.environ["TABLE"],
        Key={"id": {"S": reading["id"]}},
        UpdateExpression="SET vent = :open",
        ExpressionAttributeValues={":open": {"S": "open"}},
    )
    return {**reading, "vent": "open"}
