"""The reader of assemblies: stages, nested stacks, and references between stacks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Rehearsal, RehearsalError, check
from cdk_rehearsal.topology import compare_assemblies, edges, filters, losses
from distribution.synthesis import node_variables
from topology.post import arn, ref

APP = """
import sys
from aws_cdk import App, Duration, NestedStack, Stack, Stage, Validations
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs

app = App()
for name in ("dev", "prod"):
    stage = Stage(app, name)
    post = Stack(stage, "Post")
    undelivered = sqs.Queue(post, "Undelivered")
    sorting = NestedStack(post, "Sorting")
    letters = sqs.Queue(
        sorting,
        "Letters",
        dead_letter_queue=sqs.DeadLetterQueue(queue=undelivered, max_receive_count=2),
    )
    lambda_.Function(
        sorting,
        "Sort",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline("def handler(event, context): raise ValueError"),
        events=[sources.SqsEventSource(letters)],
        log_group=None,
    )
    events.Rule(
        post,
        "Posted",
        event_pattern=events.EventPattern(source=["post"]),
        targets=[targets.SqsQueue(letters, retry_attempts=9, max_event_age=Duration.hours(1))],
    )
if "--validate" in sys.argv:
    from cdk_rehearsal.validation import Durability, Retention

    Validations.of(app).add_plugins(Durability(), Retention())
app.synth()
"""


def synthesize(directory: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Synthesize the app above to `directory/cdk.out`."""
    directory.mkdir(exist_ok=True)
    (directory / "app.py").write_text(APP)
    foreign = ("CDK_", "JSII_", "NODE_", "PYTEST_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return subprocess.run(
        [sys.executable, "app.py", *options],
        cwd=directory,
        env={
            **environ,
            "CDK_CONTEXT_JSON": json.dumps({"aws:cdk:enable-path-metadata": True}),
            "CDK_OUTDIR": str(directory / "cdk.out"),
            "CDK_VALIDATION": "false",
            **node_variables(),
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembly of the app above."""
    directory = tmp_path_factory.mktemp("app")
    done = synthesize(directory)
    assert done.returncode == 0, done.stderr
    return directory / "cdk.out"


def test_stages_and_nested_stacks_are_read_and_known_by_their_construct_paths(
    directory: Path,
) -> None:
    assembly = Assembly(directory)
    assert [*assembly.templates] == [
        "dev/Post",
        "dev/Post/Sorting",
        "prod/Post",
        "prod/Post/Sorting",
    ]
    queues = [queue.path for queue in assembly.of_type("AWS::SQS::Queue")]
    assert queues == [
        f"{stage}/Post/{queue}"
        for stage in ("dev", "prod")
        for queue in ("Undelivered", "Sorting/Letters")
    ]
    files = [stack.file for stack in assembly.stacks if stack.path == "prod/Post"]
    assert [*Assembly(directory, only=files).templates] == ["prod/Post", "prod/Post/Sorting"]
    stage = Assembly(directory / "assembly-dev")
    assert [*stage.templates] == ["dev/Post", "dev/Post/Sorting"]


def test_edges_cross_the_border_of_a_nested_stack_in_both_directions(directory: Path) -> None:
    found = [str(edge) for edge in edges(Assembly(directory / "assembly-dev"))]
    assert found == [
        "queue     dev/Post/Sorting/Letters -> dev/Post/Sorting/Sort | retries: 2 receives "
        "| parks in dev/Post/Undelivered | 0 alarms",
        "rule      dev/Post/Posted -> dev/Post/Sorting/Letters | retries: 9 times, 3600 s "
        "| parks in None | 0 alarms",
    ]


def test_an_application_with_stages_and_nested_stacks_is_rehearsed(directory: Path) -> None:
    assert check(directory) == []
    with Rehearsal(directory / "assembly-dev") as application:
        application.client("events").put_events(
            Entries=[{"Source": "post", "DetailType": "Posted", "Detail": "{}"}]
        )
        application.run_until_idle()
        depths = application.queue_depths()
    assert depths == {"dev/Post/Undelivered": 1, "dev/Post/Sorting/Letters": 0}


def test_synthesis_checks_all_stages_and_nested_stacks(tmp_path: Path) -> None:
    done = synthesize(tmp_path / "app", "--validate")
    assert done.returncode != 0
    for stage in ("dev", "prod"):
        assert f"{stage}/Post/Posted" in done.stderr
        assert f"{stage}/Post/Sorting/Letters" in done.stderr
    assert "PartialBatchResponse" in done.stderr


def test_a_change_of_an_application_with_nested_stacks_is_reported(directory: Path) -> None:
    assembly = Assembly(directory / "assembly-dev")
    assert compare_assemblies(Assembly({}), assembly).sections["Edges"] == [
        "new queue: `dev/Post/Sorting/Letters` → `dev/Post/Sorting/Sort` (retries: 2 receives; "
        "parks in dev/Post/Undelivered). **It lacks an alarm with an action.**",
        "new rule: `dev/Post/Posted` → `dev/Post/Sorting/Letters` for all that its pattern matches "
        "(retries: 9 times, 3600 s; parks in **nothing**). **It lacks a dead-letter queue, an "
        "alarm with an action.**",
    ]
    assert not any(compare_assemblies(assembly, assembly).sections.values())


def test_buses_targets_and_sources_may_be_outside_of_the_application() -> None:
    queue, topic = (f"arn:aws:{service}:eu-central-1:1:other" for service in ("sqs", "sns"))
    target = {"Id": "Queue", "Arn": queue}
    resources = {
        "Rule": ("AWS::Events::Rule", {"EventPattern": {"source": ["post"]}, "Targets": [target]}),
        "News": (
            "AWS::SNS::Subscription",
            {"Protocol": "sqs", "TopicArn": topic, "Endpoint": queue},
        ),
        "Mapping": (
            "AWS::Lambda::EventSourceMapping",
            {"EventSourceArn": queue, "FunctionName": "other"},
        ),
    }
    template = {
        "Resources": {
            name: {"Type": type_, "Properties": properties}
            for name, (type_, properties) in resources.items()
        }
    }
    found = [
        (each.path, each.source.path, *(target.path for target in each.targets))
        for each in filters(Assembly({"Post": template}))
    ]
    assert found == [
        ("Post/Rule", "default", queue),
        ("Post/News", topic, queue),
        ("Post/Mapping", queue, "other"),
    ]


def test_a_nested_stack_without_its_template_is_reported(directory: Path, tmp_path: Path) -> None:
    properties = {"TemplateURL": "https://example.com/elsewhere.json"}
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": properties}
    (loss,) = losses(Assembly({"Post": {"Resources": {"Sorting": nested}}}))
    assert str(loss).startswith("Post/Sorting: the template of this nested stack is not in the ass")


def test_a_queue_is_referred_to_by_name_arn_substitution_parameter_or_export() -> None:
    queue = {"Type": "AWS::SQS::Queue"}
    export: dict[str, Any] = {"Export": {"Name": {"Fn::Sub": "${AWS::StackName}-letters"}}}
    assembly = Assembly(
        {
            "Post": {
                "Resources": {"Letters": queue},
                "Outputs": {"Letters": {"Value": arn("Letters"), **export}},
            },
            "Van": {"Resources": {"Letters": queue}},
        }
    )
    values: list[Any] = [
        ref("Letters"),
        arn("Letters"),
        {"Fn::GetAtt": "Letters.Arn"},
        {"Fn::Sub": "${Letters.Arn}"},
        {"Fn::Sub": "arn:${AWS::Partition}:sqs:here:1:${Letters.QueueName}"},
        {"Fn::Select": [5, {"Fn::Split": [":", arn("Letters")]}]},
    ]
    for value in values:
        assert assembly.referred("Post", value).path == "Post/Letters", value
    imported = {"Fn::ImportValue": export["Export"]["Name"]}
    assert assembly.referred("Van", imported).path == "Post/Letters"
    assert [each.path for each in assembly.references("Van", {"In": [imported]})] == [
        "Post/Letters"
    ]
    assert assembly.dependencies == {"Post": set(), "Van": set()}
    values = ["Letters", {"Fn::Sub": "x-${Letters}-y"}, ref("Nothing")]
    for value in values:
        assert assembly.find("Post", value) is None, value


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, r"manifest.json is missing: name a directory that `cdk synth` wrote"),
        ("{", "manifest.json is not JSON"),
        ('{"artifacts": {}}', "manifest.json lists no stack: add one to the app"),
        (
            '{"artifacts": {"X": {"type": "cdk:novelty"}}}',
            "X has the unknown type cdk:novelty: use",
        ),
    ],
)
def test_a_directory_without_a_readable_assembly_is_an_error(
    manifest: str | None, message: str, tmp_path: Path
) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(RehearsalError, match=message):
        Assembly(tmp_path)
