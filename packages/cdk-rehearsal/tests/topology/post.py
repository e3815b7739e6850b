"""Another application, written by hand: a post office whose letters cannot get lost."""

import copy
from collections.abc import Mapping
from typing import Any

Template = dict[str, Any]

DAY_S = 86_400


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def arn(name: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, "Arn"]}


def _resource(type_: str, path: str, **properties: Any) -> dict[str, Any]:
    metadata = {"aws:cdk:path": f"Post/{path}/Resource"}
    return {"Type": type_, "Properties": properties, "Metadata": metadata}


def _alarm(metric: str, watched: Any, **more: Any) -> dict[str, Any]:
    return _resource(
        "AWS::CloudWatch::Alarm",
        f"Alarms/{metric}",
        MetricName=metric,
        Dimensions=[{"Name": "Of", "Value": watched}],
        AlarmActions=[ref("Bell")],
        **{"Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold", **more},
    )


def _parking(path: str) -> dict[str, Any]:
    return _resource("AWS::SQS::Queue", path, MessageRetentionPeriod=14 * DAY_S)


def _admitting(queue: str, service: str, source: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": arn(queue),
        "Condition": {"ArnEquals": {"aws:SourceArn": source}},
    }
    return _resource(
        "AWS::SQS::QueuePolicy",
        f"{queue}/Policy",
        Queues=[ref(queue)],
        PolicyDocument={"Statement": [statement]},
    )


_POST: Template = {
    "Resources": {
        "Bell": _resource("AWS::SNS::Topic", "Bell"),
        # A queue that a rule fills, and a function that reads it.
        "Letters": _resource(
            "AWS::SQS::Queue",
            "Letters",
            VisibilityTimeout=190,
            RedrivePolicy={"maxReceiveCount": 3, "deadLetterTargetArn": arn("Undelivered")},
        ),
        "Undelivered": _parking("Undelivered"),
        "LettersWait": _alarm("ApproximateAgeOfOldestMessage", ref("Letters")),
        "LettersParked": _alarm(
            "ApproximateNumberOfMessagesVisible", {"Fn::GetAtt": ["Undelivered", "QueueName"]}
        ),
        "Sort": _resource("AWS::Lambda::Function", "Sort", Timeout=30, Role=arn("SortRole")),
        "SortRole": _resource("AWS::IAM::Role", "Sort/Role"),
        "SortLetters": _resource(
            "AWS::Lambda::EventSourceMapping",
            "Sort/Letters",
            EventSourceArn=arn("Letters"),
            FunctionName=ref("Sort"),
            FunctionResponseTypes=["ReportBatchItemFailures"],
            MaximumBatchingWindowInSeconds=10,
        ),
        "Posted": _resource(
            "AWS::Events::Rule",
            "Posted",
            Targets=[
                {
                    "Arn": arn("Letters"),
                    "RetryPolicy": {"MaximumRetryAttempts": 9, "MaximumEventAgeInSeconds": 600},
                    "DeadLetterConfig": {"Arn": arn("Undelivered")},
                }
            ],
        ),
        "PostedFails": _alarm("FailedInvocations", ref("Posted")),
        "LettersPolicy": _admitting("Letters", "events.amazonaws.com", arn("Posted")),
        "UndeliveredPolicy": _admitting("Undelivered", "events.amazonaws.com", arn("Posted")),
        # A stream that a function reads.
        "Parcels": _resource("AWS::DynamoDB::Table", "Parcels"),
        "TrackRole": _resource(
            "AWS::IAM::Role",
            "Track/Role",
            Policies=[
                {
                    "PolicyDocument": {
                        "Statement": {
                            "Effect": "Allow",
                            "Action": ["sqs:*"],
                            "Resource": arn("Untracked"),
                        }
                    }
                }
            ],
        ),
        "Track": _resource("AWS::Lambda::Function", "Track", Role=arn("TrackRole")),
        "TrackLive": _resource("AWS::Lambda::Alias", "Track/Live", FunctionName=ref("Track")),
        "TrackParcels": _resource(
            "AWS::Lambda::EventSourceMapping",
            "Track/Parcels",
            EventSourceArn={"Fn::GetAtt": ["Parcels", "StreamArn"]},
            FunctionName=ref("TrackLive"),
            StartingPosition="TRIM_HORIZON",
            FunctionResponseTypes=["ReportBatchItemFailures"],
            MaximumRetryAttempts=10,
            MaximumRecordAgeInSeconds=3600,
            DestinationConfig={"OnFailure": {"Destination": arn("Untracked")}},
        ),
        "Untracked": _parking("Untracked"),
        "UntrackedParked": _alarm(
            "ApproximateNumberOfMessagesVisible", {"Fn::GetAtt": ["Untracked", "QueueName"]}
        ),
        "TrackLags": _resource(
            "AWS::CloudWatch::Alarm",
            "Alarms/Lag",
            Metrics=[
                {
                    "Id": "age",
                    "MetricStat": {
                        "Metric": {
                            "MetricName": "IteratorAge",
                            "Dimensions": [{"Name": "FunctionName", "Value": ref("Track")}],
                        }
                    },
                }
            ],
            AlarmActions=[ref("Bell")],
        ),
        # A bucket that invokes a function, as the library's custom resource sets it.
        "Scans": _resource("AWS::S3::Bucket", "Scans"),
        "ScansHeard": _resource(
            "Custom::S3BucketNotifications",
            "Scans/Notifications",
            BucketName=ref("Scans"),
            NotificationConfiguration={
                "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn("Read")}]
            },
        ),
        "Read": _resource("AWS::Lambda::Function", "Read", Role=arn("ReadRole")),
        "ReadRole": _resource("AWS::IAM::Role", "Read/Role"),
        "ReadPolicy": _resource(
            "AWS::IAM::Policy",
            "Read/Role/Policy",
            Roles=[ref("ReadRole")],
            PolicyDocument={
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "sqs:SendMessage",
                        "Resource": [arn("Unread")],
                    }
                ]
            },
        ),
        "ReadInvoked": _resource(
            "AWS::Lambda::EventInvokeConfig",
            "Read/Invoked",
            FunctionName=ref("Read"),
            MaximumRetryAttempts=2,
            DestinationConfig={"OnFailure": {"Destination": arn("Unread")}},
        ),
        "ReadFails": _alarm("Errors", ref("Read")),
        "Unread": _parking("Unread"),
        "UnreadParked": _alarm(
            "ApproximateNumberOfMessagesVisible", {"Fn::GetAtt": ["Unread", "QueueName"]}
        ),
        # A topic with a queue of its own.
        "News": _resource("AWS::SNS::Topic", "News"),
        "NewsForLetters": _resource(
            "AWS::SNS::Subscription",
            "NewsForLetters",
            Protocol="sqs",
            TopicArn=ref("News"),
            Endpoint=arn("Letters"),
            RedrivePolicy={"deadLetterTargetArn": arn("Undelivered")},
        ),
        "NewsFails": _alarm("NumberOfNotificationsFailed", {"Fn::GetAtt": ["News", "TopicName"]}),
        "LettersNews": _admitting("Letters", "sns.amazonaws.com", ref("News")),
        "UndeliveredNews": _admitting("Undelivered", "sns.amazonaws.com", ref("News")),
        # A schedule, and what of another application it wakes.
        "Hourly": _resource(
            "AWS::Scheduler::Schedule",
            "Hourly",
            GroupName=ref("Clocks"),
            Target={
                "Arn": arn("Letters"),
                "RoleArn": arn("ClockRole"),
                "RetryPolicy": {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60},
                "DeadLetterConfig": {"Arn": arn("Undelivered")},
            },
        ),
        "Clocks": _resource("AWS::Scheduler::ScheduleGroup", "Clocks"),
        "ClocksDrop": _alarm("InvocationDroppedCount", ref("Clocks")),
        "ClockRole": _resource("AWS::IAM::Role", "Clocks/Role"),
        "ClockPolicy": _resource(
            "AWS::IAM::ManagedPolicy",
            "Clocks/Policy",
            Roles=[ref("ClockRole")],
            PolicyDocument={
                "Statement": {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
            },
        ),
        # A function that creates schedules while it runs.
        "Collect": _resource(
            "AWS::Lambda::Function",
            "Collect",
            Role=arn("CollectRole"),
            Environment={
                "Variables": {
                    "GROUP": ref("Collections"),
                    "TO": arn("Letters"),
                    "OTHERWISE": arn("Undelivered"),
                    "MAXIMUM_RETRY_ATTEMPTS": "9",
                    "MAXIMUM_EVENT_AGE_IN_SECONDS": "3600",
                }
            },
        ),
        "CollectRole": _resource(
            "AWS::IAM::Role",
            "Collect/Role",
            Policies=[
                {
                    "PolicyDocument": {
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Action": "scheduler:CreateSchedule",
                                "Resource": "*",
                            },
                            {
                                "Effect": "Allow",
                                "Action": "iam:PassRole",
                                "Resource": arn("CollectionsRole"),
                            },
                        ]
                    }
                }
            ],
        ),
        "Collections": _resource("AWS::Scheduler::ScheduleGroup", "Collections"),
        "CollectionsDrop": _alarm("InvocationDroppedCount", ref("Collections")),
        "CollectionsRole": _resource(
            "AWS::IAM::Role",
            "Collections/Role",
            AssumeRolePolicyDocument={
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}}
                ]
            },
        ),
        "CollectionsPolicy": _resource(
            "AWS::IAM::Policy",
            "Collections/Policy",
            Roles=[ref("CollectionsRole")],
            PolicyDocument={
                "Statement": {
                    "Effect": "Allow",
                    "Action": "sqs:SendMessage",
                    "Resource": [arn("Letters"), arn("Undelivered")],
                }
            },
        ),
    }
}


def post() -> dict[str, Template]:
    """The templates of the application, for a test to spoil."""
    return {"Post": copy.deepcopy(_POST)}


def properties(templates: Mapping[str, Template], logical_id: str) -> dict[str, Any]:
    """What a resource of the application is given."""
    found: dict[str, Any] = templates["Post"]["Resources"][logical_id]["Properties"]
    return found
