"""Publishes each new reading on the event bus."""

import json
import os

import boto3


def handler(event, context):
    """Puts one event for each new item of the table; raises if the bus rejects any of them."""
    entries = [
        {
            "EventBusName": os.environ["BUS"],
            "Source": "greenhouse",
            "DetailType": "ReadingTaken",
            "Detail": json.dumps({"id": item["id"]["S"], "celsius": float(item["celsius"]["N"])}),
        }
        for record in event["Records"]
        if record["eventName"] == "INSERT"
        for item in [record["dynamodb"]["NewImage"]]
    ]
    if entries and boto3.client("events").put_events(Entries=entries)["FailedEntryCount"]:
        raise RuntimeError("the bus rejected an event")
