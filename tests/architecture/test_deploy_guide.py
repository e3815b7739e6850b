"""The guide to deploy a stage works as written, from its first command to its last."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Rehearsal, Resource
from stacks.environment import Environment
from tests.support.desk import SHELLS, beside, inline, lay_out, run, started
from tools.catalogue.prose import blocks
from workspace.isolation import PROJECT

GUIDE = PROJECT / "docs/how-to/deploy.md"
DEPLOY = GUIDE.read_text()
SOMETHING = {"Type": "AWS::SNS::Topic"}
"""A resource, because a stack must have one."""
LOGGED_IN = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """The folder in which the commands run."""
    return lay_out(tmp_path)


@contextmanager
def served_api(shop: Rehearsal) -> Iterator[str]:
    """The address of the rehearsed API."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("content-length", 0))
            body = self.rfile.read(size).decode() if size else None
            with shop.scheduler.guest():
                request = shop.spawn(
                    lambda: shop.http.request(
                        self.command, self.path, headers=dict(self.headers), body=body
                    ),
                    name="visitor",
                )
                shop.scheduler.wait_as_guest(request)
            answer = request.result()
            self.send_response(answer.status)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def value_of(output: Any, resources: Mapping[str, Resource]) -> str:
    """Resolves the value of an output as CloudFormation does; `resources` are its stack's."""
    ((function, argument),) = output["Value"].items()
    if function == "Ref":
        return resources[argument].physical_id
    assert function == "Fn::GetAtt", output
    return str(resources[argument[0]].attributes[argument[1]])


def create_stacks(shop: Rehearsal, assembly: Assembly, url: str) -> None:
    """Creates the stacks in moto's CloudFormation, with the outputs of the templates."""
    manifest = json.loads((assembly.directory / "manifest.json").read_bytes())
    for artifact in manifest["artifacts"].values():
        if artifact["type"] != "aws:cloudformation:stack":
            continue
        name = artifact["properties"]["stackName"]
        template = json.loads(
            (assembly.directory / artifact["properties"]["templateFile"]).read_bytes()
        )
        own = {r.logical_id: r for r in shop.resources if r.stack_name == name}
        values = {
            key: url if key.startswith("ApiUrl") else value_of(output, own)
            for key, output in template.get("Outputs", {}).items()
        }
        shop.client("cloudformation").create_stack(
            StackName=name,
            TemplateBody=json.dumps(
                {
                    "Resources": {"Any": SOMETHING},
                    "Outputs": {key: {"Value": value} for key, value in values.items()},
                }
            ),
        )


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell != "bash"])
def test_guide_works_from_its_first_command_to_its_last(
    shell: str, desk: Path, assembly: Path
) -> None:
    """All commands run in one shell against a rehearsal; only credentials are set."""
    script = "\n".join(blocks(DEPLOY))
    with Rehearsal(assembly, seed=1) as shop, served_api(shop) as url:
        create_stacks(shop, Assembly(assembly), url)
        environment = {**LOGGED_IN, "AWS_ENDPOINT_URL": shop.serve()}
        out = beside(shop, started(desk, shell, script, environment))
        shop.run_for(60)
        (order,) = (
            item
            for item in shop.client("dynamodb").scan(
                TableName=shop.physical_id("Orders/Orders/Table")
            )["Items"]
            if item.get("kind") == {"S": "order"}
        )
        bucket = shop.physical_id("Inventory/SupplierFiles/Bucket")
        left = shop.client("s3").list_object_versions(Bucket=bucket)

    placed = json.loads((desk / "order.json").read_text())
    assert order["order_id"] == {"S": placed["order_id"]}
    assert order["status"] == {"S": "confirmed"}
    assert placed["order_id"] in out.partition(placed["order_id"])[2], "the order is shown"
    (report,) = (desk / "reports").rglob("*.json")
    assert json.loads(report.read_text())["rows_taken"] == 1
    assert "Versions" not in left
    assert "--app cdk.out/dev destroy --all" in out


def test_each_make_command_in_a_sentence_works(desk: Path) -> None:
    for command in inline(DEPLOY):
        if command.startswith("make "):
            run(desk, "sh", command)


def test_each_output_that_a_command_reads_belongs_to_one_stack(
    templates: Mapping[str, Assembly],
) -> None:
    asked = re.findall(r"\$\(output (\w+) (\w+)\)", DEPLOY)
    assert len(asked) >= 4
    for context, prefix in asked:
        outputs = templates["dev"].templates[context.capitalize()]["Outputs"]
        assert len([key for key in outputs if key.startswith(prefix)]) == 1, (context, prefix)


@pytest.mark.usefixtures("default_bus")
def test_figures_settings_routes_and_files_are_real(templates: Mapping[str, Assembly]) -> None:
    alarms = len(templates["dev"].of_type("AWS::CloudWatch::Alarm"))
    assert f"({alarms} alarms" in DEPLOY
    known = {field.name for field in fields(Environment)}
    api = (PROJECT / "docs" / "openapi.json").read_text()
    paths = json.loads(api)["paths"]
    named = [word for word in inline(DEPLOY) if " " not in word]
    for file in (word for word in named if re.search(r"/|\.\w+$", word)):
        assert (PROJECT / file).exists() or file == "cdk.out/", file
    for word in (word for word in named if re.fullmatch(r"[a-z]+(_[a-z]+)+", word)):
        assert word in known or f'"{word}"' in api, word
    for method, path in re.findall(r"`([A-Z]+) (/[^`]*)`", DEPLOY):
        assert method.lower() in paths[path], f"{method} {path}"
