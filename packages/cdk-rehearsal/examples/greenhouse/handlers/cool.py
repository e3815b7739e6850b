"""Starts the cooling workflow for each hot reading."""

import json
import os

import boto3
from botocore.exceptions import ClientError


def handler(event, context):
    """Starts one execution per reading: its name makes a repeated start have no effect."""
    states = boto3.client("stepfunctions")
    failures = []
    for message in event["Records"]:
        detail = json.loads(message["body"])["detail"]
        try:
            states.start_execution(
                stateMachineArn=os.environ["MACHINE"], name=detail["id"], input=json.dumps(detail)
            )
        except states.exceptions.ExecutionAlreadyExists:
            pass
        except ClientError as error:
            print(f"{detail['id']}: {error}")
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}
