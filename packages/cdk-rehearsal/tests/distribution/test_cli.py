"""The command `rehearse`, on the sample application and on templates with problems."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import boto3
import pytest

from cdk_rehearsal import __version__, forked
from cdk_rehearsal.cli import main
from distribution.synthesis import PACKAGE
from rehearsal.cloud import Cloud, arn, ref, write_assembly
from rehearsal.test_http_api import ECHO, api, route

ENVIRON = {**os.environ, "PYTHONPATH": str(PACKAGE / "src")}


def rehearse(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the command in a fork, because each new process would have to import moto."""
    import cdk_rehearsal.checking  # noqa: F401

    given = [str(each) for each in arguments]

    def command() -> subprocess.CompletedProcess[str]:
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            main(given)
        status = int(ended.value.code or 0)
        return subprocess.CompletedProcess(given, status, out.getvalue(), errors.getvalue())

    (fork,) = forked([command], at_once=1)
    assert fork.value is not None, fork.error
    return fork.value


def started(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own, as a shell does."""
    return subprocess.run(
        [sys.executable, "-m", "cdk_rehearsal", *map(str, arguments)],
        env=ENVIRON,
        capture_output=True,
        text=True,
        check=False,
    )


def read(*arguments: object, exits: int = 0) -> Any:
    done = rehearse(*arguments, "--json")
    assert done.returncode == exits, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def template(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path / "cdk.out")


class TestCheck:
    def test_a_supported_application_is_summarized(self, greenhouse: Path) -> None:
        done = started("check", greenhouse)
        assert done.returncode == 0, done.stderr
        assert "everything is supported" in done.stdout
        assert "5 AWS::IAM::Role" in done.stdout
        found = read("check", greenhouse)
        assert found["unsupported"] == []
        assert found["rehearsed"]["AWS::Lambda::Function"] == 4

    def test_resources_without_effect_are_listed_apart(self, template: Cloud) -> None:
        template.add("Queue", "AWS::SQS::Queue")
        template.add("Dashboard", "AWS::CloudWatch::Dashboard")
        found = read("check", template.write())
        assert found["rehearsed"] == {"AWS::SQS::Queue": 1}
        assert found["not_rehearsed"] == {"AWS::CloudWatch::Dashboard": 1}

    def test_an_unsupported_resource_is_named(self, template: Cloud) -> None:
        template.add("Machine", "AWS::EC2::Instance")
        done = started("check", template.write())
        assert done.returncode == 1
        assert "Machine (AWS::EC2::Instance)" in done.stdout

    def test_an_unsupported_setting_of_an_api_is_named(self, template: Cloud) -> None:
        template.add("Api", "AWS::ApiGatewayV2::Api", Name="api", ProtocolType="HTTP")
        done = rehearse("check", template.write())
        assert "Api has 0 stages" in done.stdout + done.stderr

    def test_a_limit_that_a_template_exceeds_is_listed_with_its_page(self, template: Cloud) -> None:
        template.add("Queue", "AWS::SQS::Queue", DelaySeconds=901)
        directory = template.write()
        done = rehearse("check", directory)
        assert done.returncode == 1
        assert "The delay of a message: 901 seconds, and AWS accepts at most 900" in done.stdout
        assert "1 over a limit of AWS: the deployment would fail" in done.stdout
        found = read("check", directory, exits=1)
        assert found["unsupported"] == []
        (finding,) = found["exceeded"]
        assert (finding["resource"], finding["severity"]) == ("Shop/Queue", "high")
        assert finding["page"].endswith("API_SendMessage.html")

    def test_a_quota_raises_a_limit(self, template: Cloud) -> None:
        for index in range(101):
            template.add(f"Bus{index}", "AWS::Events::EventBus", Name=f"bus{index}")
        directory = template.write()
        assert len(read("check", directory, exits=1)["exceeded"]) == 1
        assert read("check", directory, "--quota", "events.buses=101")["exceeded"] == []
        for quota, problem in (
            ("events.busses=101", "there is no limit 'events.busses': give one of events.buses"),
            ("sqs.delay_s=901", "AWS grants nobody: give at most 900"),
            ("events.buses=many", "'events.buses=many' is not NAME=VALUE with a whole number"),
        ):
            done = rehearse("check", directory, "--quota", quota)
            assert (done.returncode, problem in done.stderr) == (2, True), done.stderr

    def test_everything_unsupported_is_listed_at_once(self, template: Cloud) -> None:
        template.add("Machine", "AWS::EC2::Instance")
        template.add("Queue", "AWS::SQS::Queue", Flavour="sweet")
        template.add("Disk", "AWS::EC2::Volume")
        found = read("check", template.write(), exits=1)
        listed = "\n".join(found["unsupported"])
        assert "Machine (AWS::EC2::Instance)" in listed
        assert "Flavour" in listed
        assert "Disk (AWS::EC2::Volume)" in listed

    def test_with_stand_ins_they_are_listed(self, template: Cloud) -> None:
        template.function("Node", "exports.handler = async () => 1")
        template.resources["Node"]["Properties"]["Runtime"] = "nodejs22.x"
        outdir = template.write()
        assert "not the runtime nodejs22.x" in read("check", outdir, exits=1)["unsupported"][0]
        done = rehearse("check", outdir, "--stand-ins")
        assert done.returncode == 0
        assert "with stand-ins:\n  Shop/Node: a function that does nothing" in done.stdout
        assert len(read("check", outdir, "--stand-ins")["stand_ins"]) == 1


class TestEdgesAndLosses:
    def test_the_ten_worst_losses_are_listed_unless_all_are_wanted(self, template: Cloud) -> None:
        template.add("Bus", "AWS::Events::EventBus", Name="bus")
        for number in range(8):
            template.queue(f"Queue{number}")
            template.rule(f"Rule{number}", {"source": ["x"]}, {"Arn": arn(f"Queue{number}")})
        outdir = template.write()
        done = rehearse("losses", outdir)
        assert done.returncode == 1
        *listed, summary = done.stdout.splitlines()
        assert len(listed) == 10
        assert sum("lacks a dead-letter queue" in line for line in listed) == 8
        assert summary.startswith("10 of 32 findings (16 low, 8 high, 8 medium)")
        everything = rehearse("losses", outdir, "--all").stdout.splitlines()
        assert len(everything) == len(read("losses", outdir, exits=1)) == 32

    def test_edges_are_listed(self, greenhouse: Path) -> None:
        found = {
            (each["kind"], each["source"], each["target"]) for each in read("edges", greenhouse)
        }
        assert found == {
            ("queue", "Greenhouse/Alarms", "Greenhouse/Cool"),
            ("rule", "Greenhouse/Hot", "Greenhouse/Alarms"),
            ("stream", "Greenhouse/Readings", "Greenhouse/Publish"),
        }
        lines = rehearse("edges", greenhouse).stdout.splitlines()
        assert len(lines) == len(found)

    def test_a_queue_without_a_dead_letter_queue_is_a_loss(
        self, greenhouse: Path, tmp_path: Path
    ) -> None:
        outdir = shutil.copytree(greenhouse, tmp_path / "cdk.out")
        file = outdir / "Greenhouse.template.json"
        template = json.loads(file.read_text())
        for resource in template["Resources"].values():
            resource.get("Properties", {}).pop("RedrivePolicy", None)
        file.write_text(json.dumps(template))

        def without_queues(directory: Path) -> list[str]:
            found = read("losses", directory, exits=1)
            return [each["path"] for each in found if each["rule"] == "DeadLetterQueue"]

        assert without_queues(greenhouse) == []
        assert without_queues(outdir) == ["Greenhouse/Alarms"]
        done = rehearse("losses", outdir)
        assert done.returncode == 1
        assert "Set RedrivePolicy of the queue" in done.stdout

    def test_an_application_without_losses_exits_with_0(self, template: Cloud) -> None:
        template.add("Items", "AWS::S3::Bucket")
        done = rehearse("losses", template.write())
        assert (done.returncode, done.stdout.splitlines()) == (
            0,
            [
                "no message can get lost unnoticed",
                "there are no asynchronous edges: nothing in the templates calls anything else",
            ],
        )

    def test_an_application_without_edges_says_how_many_calls_are_none(
        self, template: Cloud
    ) -> None:
        template.add("Items", "AWS::S3::Bucket")
        template.add("Distribution", "AWS::CloudFront::Distribution", Of=ref("Items"))
        outdir = template.write()
        for command in ("losses", "edges"):
            done = rehearse(command, outdir)
            assert done.returncode == 0
            assert "no asynchronous edges: synchronous calls (1) are none" in done.stdout
        listed = rehearse("edges", outdir, "--calls").stdout
        assert listed.splitlines() == ["call      Shop/Distribution -> Shop/Items"]
        (call,) = read("edges", outdir, "--calls")
        assert call == {
            "kind": "call",
            "source": "Shop/Distribution",
            "target": "Shop/Items",
        }

    def test_reading_templates_does_not_import_moto(self, greenhouse: Path) -> None:
        code = (
            "import sys; from cdk_rehearsal.cli import main\n"
            "try: main(sys.argv[1:])\n"
            "finally: print({'moto', 'boto3', 'cfnlint'} & set(sys.modules), file=sys.stderr)"
        )
        for command in ("edges", "losses"):
            done = subprocess.run(
                [sys.executable, "-c", code, command, greenhouse],
                env=ENVIRON,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stderr == "set()\n"


class TestCost:
    def test_an_idle_application_is_priced(self, template: Cloud) -> None:
        template.add("Alarm", "AWS::CloudWatch::Alarm", MetricName="Errors", Period=60)
        template.add("Key", "AWS::KMS::Key")
        directory = template.write()
        done = rehearse("cost", directory)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "    1.00 USD     1 AWS::KMS::Key",
            "    0.10 USD     1 AWS::CloudWatch::Alarm",
            "    1.10 USD  a month, idle, at the prices of us-east-1",
        ]
        (bill,) = read("cost", directory, "--free-tier")
        assert (bill["usd"], bill["unpriced"]) == (1.0, [])

    def test_a_missing_price_exits_with_1(self, template: Cloud) -> None:
        template.add("Gateway", "AWS::EC2::NatGateway")
        done = rehearse("cost", template.write())
        assert done.returncode == 1
        assert "no price is known for AWS::EC2::NatGateway" in done.stdout

    def test_a_region_without_prices_exits_with_2(self, template: Cloud) -> None:
        done = rehearse("cost", template.write(), "--region", "mars-1")
        assert done.returncode == 2
        assert "there are no prices of 'mars-1'" in done.stderr


class TestReview:
    def test_the_same_application_has_no_changes(self, greenhouse: Path) -> None:
        found = read("review", greenhouse, greenhouse)
        assert not any(found["sections"].values())

    def test_a_deleted_table_exits_with_1(self, template: Cloud, tmp_path: Path) -> None:
        template.table("Items")
        old = template.write()
        new = Cloud(tmp_path / "new")
        new.add("Queue", "AWS::SQS::Queue")
        done = rehearse("review", old, new.write())
        assert done.returncode == 1
        assert "`Shop/Items` (AWS::DynamoDB::Table) would be deleted" in done.stdout


class TestDirectories:
    def test_a_missing_directory_exits_with_2_and_says_what_to_do(self, tmp_path: Path) -> None:
        for command in ("check", "edges", "losses", "run"):
            done = rehearse(command, tmp_path / "none")
            assert done.returncode == 2
            assert "none/manifest.json is missing: name a directory that `cdk synth` wrote" in (
                done.stderr
            )
            assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "manifest.json is not JSON"),
            ("[]", "no manifest of a cloud assembly"),
            ('{"artifacts": {"A": {}}}', "no manifest of a cloud assembly"),
        ],
    )
    def test_an_invalid_manifest_exits_with_2(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        (tmp_path / "manifest.json").write_text(text)
        done = rehearse("edges", tmp_path)
        assert done.returncode == 2
        assert message in done.stderr

    def test_the_only_stage_is_used(self, staged: Path, tmp_path: Path) -> None:
        outdir = shutil.copytree(staged, tmp_path / "cdk.out")
        manifest = json.loads((outdir / "manifest.json").read_text())
        del manifest["artifacts"]["assembly-Beta"]
        (outdir / "manifest.json").write_text(json.dumps(manifest))
        assert len(read("edges", outdir)) == 3
        assert read("check", outdir)["unsupported"] == []

    def test_all_stages_are_read(self, staged: Path) -> None:
        found = read("edges", staged)
        assert {each["source"].partition("/")[0] for each in found} == {"Beta", "Prod"}
        assert read("check", staged)["rehearsed"]["AWS::SQS::Queue"] == 6
        losses = {each["path"].partition("/")[0] for each in read("losses", staged, exits=1)}
        assert losses == {"Beta", "Prod"}

    def test_one_of_several_stages_has_to_be_chosen_to_run_it(self, staged: Path) -> None:
        done = rehearse("run", staged)
        assert done.returncode == 2
        assert "choose a stage: Beta, Prod" in done.stderr
        done = rehearse("check", staged, "--stage", "Gamma")
        assert done.returncode == 2
        assert "no stage 'Gamma': choose one of Beta, Prod" in done.stderr
        assert read("check", staged, "--stage", "Prod")["rehearsed"]["AWS::SQS::Queue"] == 3

    def test_stacks_of_two_accounts_are_an_error(self, tmp_path: Path) -> None:
        outdir = write_assembly(tmp_path, {"One": {"Resources": {}}, "Two": {"Resources": {}}})
        manifest = json.loads((outdir / "manifest.json").read_text())
        for number, name in enumerate(("One", "Two"), start=1):
            manifest["artifacts"][name]["environment"] = f"aws://{number}/eu-west-1"
        (outdir / "manifest.json").write_text(json.dumps(manifest))
        done = started("check", outdir)
        assert done.returncode == 2
        assert "are for the accounts 1, 2" in done.stderr

    def test_the_account_and_region_of_the_stacks_are_used(self, tmp_path: Path) -> None:
        outdir = write_assembly(tmp_path, {"One": {"Resources": {}}})
        manifest = json.loads((outdir / "manifest.json").read_text())
        manifest["artifacts"]["One"]["environment"] = "aws://111122223333/us-west-2"
        (outdir / "manifest.json").write_text(json.dumps(manifest))
        done = started("check", outdir, "--json")
        assert json.loads(done.stdout)["unsupported"] == [], done.stderr


def test_the_version_is_that_of_the_package() -> None:
    assert started("--version").stdout == f"{__version__}\n"


@contextmanager
def running(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs the command `run`; yields its process and the first lines of its output."""
    with subprocess.Popen(
        [sys.executable, "-m", "cdk_rehearsal", "run", *map(str, arguments)],
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        first: list[str] = []
        try:
            for line in process.stdout:
                first.append(line)
                if "until Ctrl-C" in line or line.startswith("{"):
                    break
            yield process, "".join(first)
        finally:
            process.kill()


def find(console: str, text: str) -> list[dict[str, Any]]:
    with urlopen(f"{console}find?text={text}", timeout=30) as response:
        found: list[dict[str, Any]] = json.load(response)
    return found


def post(url: str, body: dict[str, Any]) -> Any:
    origin = "/".join(url.split("/")[:3])
    request = Request(url, json.dumps(body).encode(), {"Origin": origin})
    with urlopen(request, timeout=30) as response:
        return json.load(response)


class TestRun:
    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
    def test_the_application_runs_until_it_is_interrupted(
        self, greenhouse: Path, end: signal.Signals
    ) -> None:
        with running(greenhouse) as (process, said):
            endpoint = re.search(r"AWS endpoint: (http://127\.0\.0\.1:\d+)", said)
            api = re.search(r"Greenhouse/Api: (http://127\.0\.0\.1:\d+)", said)
            assert endpoint, said
            assert api, said
            request = Request(
                f"{api[1]}/readings",
                data=b'{"id": "r1", "celsius": 31}',
                headers={"content-type": "application/json"},
            )
            with urlopen(request, timeout=30) as response:
                assert (response.status, json.load(response)) == (201, {"id": "r1"})
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"{api[1]}/nowhere", timeout=30)
            client = boto3.client(
                "dynamodb",
                region_name="eu-central-1",
                endpoint_url=endpoint[1],
                aws_access_key_id="any",
                aws_secret_access_key="any",
            )
            (table,) = client.list_tables()["TableNames"]
            deadline = time.monotonic() + 30
            while "vent" not in client.scan(TableName=table)["Items"][0]:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            process.send_signal(end)
            rest = process.communicate(timeout=30)[0]
            assert process.returncode == 0, rest
            assert "request     outside → Greenhouse/Api POST /readings 201" in rest

    def test_json_is_one_object_per_line(self, staged: Path) -> None:
        with running(staged, "--stage", "Beta", "--json") as (process, said):
            (url,) = json.loads(said)["apis"].values()
            with pytest.raises(HTTPError, match="400"):
                urlopen(Request(f"{url}/readings", data=b"{}"), timeout=30)
            process.send_signal(signal.SIGTERM)
            records = list(map(json.loads, process.communicate(timeout=30)[0].splitlines()))
            assert process.returncode == 0
            (request,) = [each for each in records if each["kind"] == "request"]
            assert request["detail"]["status"] == 400

    def test_traces_are_exported_at_the_end(self, greenhouse: Path, tmp_path: Path) -> None:
        file = tmp_path / "traces.jsonl"
        with running(greenhouse, "--otlp", str(file)) as (process, _):
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=30)
            assert process.returncode == 0
        assert f"0 spans are in {file}" in said
        assert file.read_text() == ""

    def test_a_destination_on_another_machine_is_refused_at_once(self, greenhouse: Path) -> None:
        done = rehearse("run", greenhouse, "--otlp", "http://collector.example/v1/traces")
        assert done.returncode == 2
        assert "is not on this machine" in done.stderr

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
    def test_the_console_shows_what_a_client_outside_does(
        self, greenhouse: Path, end: signal.Signals
    ) -> None:
        with running(greenhouse, "--console", "--json") as (process, said):
            served = json.loads(said)
            (api,) = served["apis"].values()
            with urlopen(f"{served['console']}map", timeout=30) as response:
                nodes = json.load(response)["about"]["map"]["nodes"]
            assert {"Greenhouse/Cool", "Greenhouse/Alarms"} <= {node["path"] for node in nodes}
            headers = {"content-type": "application/json"}
            body = b'{"id": "r1", "celsius": 31}'
            with urlopen(Request(f"{api}/readings", body, headers), timeout=30) as response:
                assert response.status == 201
            deadline = time.monotonic() + 30
            while not (found := find(served["console"], "r1")):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert found[0]["events"] >= 1
            process.send_signal(end)
            process.communicate(timeout=30)
            assert process.returncode == 0
            with pytest.raises(URLError, match="refused"):
                urlopen(served["console"], timeout=30)

    def test_the_console_answers_while_the_application_waits(self, template: Cloud) -> None:
        template.queue("Queue")
        with running(template.write(), "--console", "--json") as (_, said):
            console = json.loads(said)["console"]
            for command in ({"do": "pace", "speed": 20}, {"do": "alarms"}, {"do": "pause"}):
                assert "error" not in post(f"{console}command", command)
            assert post(f"{console}command", {"do": "continue"}) == {"value": None}

    def test_a_token_opens_a_route_with_an_authorizer(self, template: Cloud) -> None:
        api(template)
        template.function("Echo", ECHO)
        route(template, "GET /things", "Echo")
        with running(template.write(), "--token", "alice", "--json") as (_, said):
            started = json.loads(said)
            url = f"{started['apis']['Shop/Api']}/things"
            with pytest.raises(HTTPError, match="401"):
                urlopen(url, timeout=30)
            headers = {"authorization": f"Bearer {started['token']}"}
            with urlopen(Request(url, headers=headers), timeout=30) as response:
                claims = json.load(response)["requestContext"]["authorizer"]["jwt"]["claims"]
            assert claims["sub"] == "alice"

    def test_a_port_that_is_taken_is_an_error(self, template: Cloud) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = rehearse("run", template.write(), "--port", port)
        assert done.returncode == 2
        assert f"port {port} cannot be used" in done.stderr
        assert "Traceback" not in done.stderr

    def test_an_unsupported_application_does_not_run(self, template: Cloud) -> None:
        template.add("Machine", "AWS::EC2::Instance")
        done = rehearse("run", template.write())
        assert done.returncode == 1
        assert "`rehearse check` lists all of them" in done.stderr
