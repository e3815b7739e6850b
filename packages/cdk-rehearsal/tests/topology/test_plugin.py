"""The plug-in, in the synthesis of another application: what a person gets to read."""

import os
import subprocess
import sys
from pathlib import Path

from distribution.synthesis import PACKAGE, node_variables

APP = """
from aws_cdk import Acknowledgment, App, RemovalPolicy, Stack, Validations
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from cdk_rehearsal.validation import Durability, Retention

app = App()
post = Stack(app, "Post")
letters = sqs.Queue(post, "Letters")
for name in ("Posted", "Returned"):
    events.Rule(
        post,
        name,
        event_pattern=events.EventPattern(source=[name]),
        targets=[targets.SqsQueue(letters, retry_attempts=9)],
    )
Validations.of(post).acknowledge(
    Acknowledgment(id="Durability::AlarmWithAction", reason="Somebody looks every day."),
    Acknowledgment(id="Durability::KnownReceiver", reason="The delivery round receives them."),
)
Validations.of(post.node.find_child("Returned")).acknowledge(
    Acknowledgment(id="Durability::DeadLetterQueue", reason="Nobody wants these."),
    Acknowledgment(id="Durability::BoundedRetry", reason="Nobody wants these."),
)
for name in ("stamps", "cards"):
    sqs.Queue(post, name, queue_name=name, removal_policy=RemovalPolicy.RETAIN)
Validations.of(post.node.find_child("cards")).acknowledge(
    Acknowledgment(id="Retention::FixedName", reason="It is imported into the next stack.")
)
Validations.of(app).add_plugins(Durability(), Retention())
app.synth()
"""


def test_synthesis_fails_and_says_where_what_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    foreign = ("CDK_", "JSII_", "NODE_", "PYTEST_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=tmp_path,
        env={
            **environ,
            "CDK_OUTDIR": str(tmp_path / "cdk.out"),
            # The library's own check is left out; plug-ins run all the same.
            "CDK_VALIDATION": "false",
            **node_variables(),
            "PYTHONPATH": str(PACKAGE / "src"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    # What Node.js writes may come before, after or amid Python's traceback.
    said = done.stderr
    assert said.count("ERROR") == 3, said
    assert "Post/Posted/Resource" in said
    assert "lacks a dead-letter queue or on-failure destination" in said
    assert "Suggested fix: Set DeadLetterConfig of the target to an SQS queue" in said
    assert "Suggested fix: Set RetryPolicy of the target, both of its bounds" in said
    assert "Acknowledge with 'Durability::DeadLetterQueue'" in said
    assert "Post/stamps/Resource" in said
    assert "its QueueName is then taken" in said
    assert "Suggested fix: Leave the name to CloudFormation, put a part of AWS::StackId" in said
    assert "Acknowledge with 'Retention::FixedName'" in said
    assert "Post/cards" not in said
    assert "Returned" not in said
    assert "AlarmWithAction" not in said
