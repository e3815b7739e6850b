"""Stores a reading that a sensor sends."""

import json
import os

import boto3


def handler(request, context):
    """Answers 201 with the reading's id, or 400."""
    try:
        reading = json.loads(request["body"])
        item = {"id": {"S": reading["id"]}, "celsius": {"N": str(float(reading["celsius"]))}}
    except (KeyError, TypeError, ValueError) as error:
        return {"statusCode": 400, "body": json.dumps({"error": f"not a reading: {error!r}"})}
    boto3.client("dynamodb").put_item(TableName=os.environ["TABLE"], Item=item)
    return {"statusCode": 201, "body": json.dumps({"id": reading["id"]})}
