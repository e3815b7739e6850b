"""The mapping for `cdk refactor`: its steps, and that the CDK's own command line accepts it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from cdk_rehearsal import Assembly, Template
from tools.contracts import moving
from workspace.isolation import PROJECT, account_environment

REGION = "eu-central-1"


def queue(path: str, **properties: Any) -> dict[str, Any]:
    metadata = {"aws:cdk:path": f"{path}/Resource"}
    return {"Type": "AWS::SQS::Queue", "Metadata": metadata, "Properties": properties}


BEFORE: Template = {
    "Resources": {
        "Letters": queue("Post/Letters", VisibilityTimeout=60),
        "Inbox": queue("Post/Inbox"),
        "Outbox": queue("Post/Outbox"),
    }
}
AFTER: Template = {
    "Resources": {
        "Mail": queue("Post/Mail", VisibilityTimeout=60),
        "In": queue("Post/In"),
        "Out": queue("Post/Out"),
    }
}


def assembly(directory: Path, template: Template, environment: str) -> Path:
    """A cloud assembly with one stack, as the CDK writes it."""
    directory.mkdir()
    (directory / "Post.template.json").write_text(json.dumps(template))
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": environment,
        "properties": {"templateFile": "Post.template.json", "stackName": "post"},
    }
    manifest = {"version": "48.0.0", "artifacts": {"Post": stack}}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def test_the_steps_name_what_the_reader_has_to_do_first(tmp_path: Path) -> None:
    changed = {"Resources": {**AFTER["Resources"], "New": queue("Post/New", DelaySeconds=1)}}
    file = tmp_path / "refactor-dev.json"
    said = moving.write(Assembly({"Post": BEFORE}), Assembly({"Post": changed}), "dev", tmp_path)
    group = json.loads(file.read_bytes())["environments"][0]
    assert group == {
        "account": "ACCOUNT",
        "region": "REGION",
        "resources": {"Post.Letters": "Post.Mail"},
    }
    steps = [line for line in said.splitlines() if line[:1].isdigit()]
    assert "commit of their own" in steps[0]
    assert "Add the ambiguous resources" in steps[1]
    assert "Replace ACCOUNT and REGION" in steps[2]
    assert "make refactor STAGE=dev ARGS=--dry-run" in steps[3]

    elsewhere = {"Post": {"Resources": {}}, "Depot": AFTER}
    assert "Deploy the new stacks first" in moving.write(
        Assembly({"Post": BEFORE}), Assembly(elsewhere), "dev", tmp_path
    )


def test_a_move_of_more_stacks_than_a_refactor_takes_has_to_be_split(tmp_path: Path) -> None:
    def spread(name: str) -> Assembly:
        return Assembly(
            {
                f"Post{number}": {"Resources": {name: queue(f"Post/{name}", DelaySeconds=number)}}
                for number in range(6)
            }
        )

    said = moving.write(spread("Old"), spread("New"), "dev", tmp_path)
    assert "Split the move: one refactor has at most 5 stacks" in said


def test_an_older_mapping_is_removed_if_no_data_moves(tmp_path: Path) -> None:
    file = tmp_path / "refactor-dev.json"
    file.write_text("old")
    unchanged = Assembly({"Post": BEFORE}), Assembly({"Post": BEFORE})
    assert moving.write(*unchanged, "dev", tmp_path) == ""
    assert not file.exists()


def test_the_cdk_accepts_the_mapping_and_follows_a_line_about_twins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against moto's CloudFormation, which has the deployed templates but executes no refactor."""
    environment = f"aws://123456789012/{REGION}"
    head = assembly(tmp_path / "head", AFTER, environment)
    base = assembly(tmp_path / "base", BEFORE, environment)
    file = tmp_path / "refactor-dev.json"
    moving.write(Assembly(base), Assembly(head), "dev", tmp_path)
    mapping = json.loads(file.read_bytes())
    mapping["environments"][0]["resources"] |= {"post.Inbox": "post.Out", "post.Outbox": "post.In"}
    file.write_text(json.dumps(mapping))

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "deployer",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": REGION,
        }.items():
            monkeypatch.setenv(name, value)
        boto3.client("cloudformation", region_name=REGION).create_stack(
            StackName="post", TemplateBody=json.dumps(BEFORE)
        )
        said = subprocess.run(
            [
                *("node", PROJECT / "node_modules/aws-cdk/bin/cdk", "--app", head, "refactor"),
                *("--unstable=refactor", "--dry-run", "--override-file", file),
            ],
            cwd=tmp_path,
            env=account_environment(os.environ),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    finally:
        server.stop()
    assert "ambiguit" not in said
    for before, after in (("Letters", "Mail"), ("Inbox", "Out"), ("Outbox", "In")):
        assert any(
            f"Post/{before}/" in line and f"Post/{after}/" in line for line in said.splitlines()
        ), said
