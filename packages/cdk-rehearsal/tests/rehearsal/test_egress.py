"""A rehearsal sees no settings of the developer's machine, and opens no outgoing connections."""

import asyncio
import http.client
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import botocore.session
import pytest
import requests

from cdk_rehearsal import Rehearsal, RehearsalError
from rehearsal.cloud import Cloud
from rehearsal.conftest import Rehearse


@pytest.fixture
def outside() -> Iterator[socket.socket]:
    """A server outside the rehearsal, such as the developer's database: it must not be called."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


def url(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


SERVICES = ("dynamodb", "sqs", "sns", "s3", "events", "kinesis", "stepfunctions", "scheduler")


@pytest.mark.parametrize("service", [None, *SERVICES])
def test_endpoints_of_the_shell_are_not_used(
    service: str | None,
    monkeypatch: pytest.MonkeyPatch,
    template: Cloud,
    rehearse: Rehearse,
    outside: socket.socket,
) -> None:
    suffix = "" if service is None else f"_{'SFN' if service == 'stepfunctions' else service}"
    monkeypatch.setenv(f"AWS_ENDPOINT_URL{suffix.upper()}", url(outside))
    template.add("Queue", "AWS::SQS::Queue")
    template.add(
        "Table",
        "AWS::DynamoDB::Table",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    shop = rehearse()
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Queue"), MessageBody="hello")
    assert shop.queue_depths() == {"Shop/Queue": 1}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_PROFILE", "work"),
        ("AWS_DEFAULT_PROFILE", "work"),
        ("AWS_DEFAULT_REGION", "ap-southeast-2"),
        ("AWS_REGION", "ap-southeast-2"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ("AWS_ACCOUNT_ID", "999999999999"),
        ("MOTO_ACCOUNT_ID", "999999999999"),
        ("MOTO_CALL_RESET_API", "false"),
        ("POWERTOOLS_DEV", "true"),
    ],
)
def test_settings_of_the_shell_are_not_seen(
    name: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    template: Cloud,
    rehearse: Rehearse,
) -> None:
    monkeypatch.setenv(name, value)
    template.add("Queue", "AWS::SQS::Queue")
    shop = rehearse()
    assert os.environ.get(name) != value
    assert "eu-central-1" in shop.physical_id("Shop/Queue")
    assert "123456789012" in shop.physical_id("Shop/Queue")
    assert boto3.client("sqs").meta.region_name == "eu-central-1"


def test_settings_files_of_the_developer_are_not_read(
    monkeypatch: pytest.MonkeyPatch,
    template: Cloud,
    rehearse: Rehearse,
    outside: socket.socket,
    tmp_path: Path,
) -> None:
    config = tmp_path / "config"
    config.write_text(f"[default]\nregion = sa-east-1\nendpoint_url = {url(outside)}\n")
    models = tmp_path / "models" / "sqs" / "2012-11-05"
    models.mkdir(parents=True)
    (models / "service-2.json").write_text("{}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path / "models"))
    template.add("Queue", "AWS::SQS::Queue")
    shop = rehearse()
    shop.client("sqs").send_message(QueueUrl=shop.physical_id("Shop/Queue"), MessageBody="hello")
    assert botocore.session.get_session().get_scoped_config() == {}


def test_settings_that_moto_reads_as_it_is_imported_are_not_seen(template: Cloud) -> None:
    template.queue("Queue")
    program = f"""
import os
from pathlib import Path
from cdk_rehearsal import Rehearsal

with Rehearsal(Path({str(template.write())!r})):
    from moto import settings

assert settings.TEST_DECORATOR_MODE
assert settings.INITIAL_NO_AUTH_ACTION_COUNT == float("inf")
assert settings.S3_UPLOAD_PART_MIN_SIZE == 5242880
assert os.environ["TEST_SERVER_MODE"] == "true"
"""
    hostile = {
        "TEST_SERVER_MODE": "true",
        "INITIAL_NO_AUTH_ACTION_COUNT": "0",
        "S3_UPLOAD_PART_MIN_SIZE": "1",
    }
    command = [sys.executable, "-c", program]
    environ = {**os.environ, **hostile}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_all_variables_are_restored_at_the_end(
    template: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    before = dict(os.environ)
    with Rehearsal(template.write()):
        assert "AWS_PROFILE" not in os.environ
    assert dict(os.environ) == before


def test_an_aws_call_that_would_leave_is_an_error_that_names_it(
    rehearse: Rehearse, outside: socket.socket
) -> None:
    rehearse()
    client = boto3.client("dynamodb", endpoint_url=url(outside))
    with pytest.raises(RehearsalError, match=r"dynamodb\.ListTables would leave .*127\.0\.0\.1"):
        client.list_tables()


def test_any_other_connection_is_an_error_that_names_the_address(
    rehearse: Rehearse, outside: socket.socket
) -> None:
    rehearse()
    host, port = outside.getsockname()
    expected = rf"connection to 127\.0\.0\.1, port {port}, would leave"
    with pytest.raises(RehearsalError, match=expected):
        socket.create_connection((host, port))
    with pytest.raises(RehearsalError, match=expected), socket.socket() as sock:
        sock.connect_ex((host, port))
    with (
        pytest.raises(RehearsalError, match=expected),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.sendto(b"hello", (host, port))
    with pytest.raises(RehearsalError, match=expected):
        requests.get(url(outside), timeout=1)
    with pytest.raises(RehearsalError, match=expected):
        urllib.request.urlopen(url(outside), timeout=1)
    with pytest.raises(RehearsalError, match=r"look-up of the host shop\.example would leave"):
        requests.get("https://shop.example", timeout=1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: socket.gethostbyname("shop.example"),
        lambda: socket.gethostbyname_ex("shop.example"),
        lambda: socket.gethostbyaddr("192.0.2.1"),
        lambda: socket.getnameinfo(("192.0.2.1", 443), 0),
        lambda: socket.getfqdn("shop.example"),
        lambda: asyncio.run(asyncio.open_connection("shop.example", 443)),
        lambda: http.client.HTTPConnection("shop.example").request("GET", "/"),
    ],
)
def test_no_name_server_is_asked(ask: Callable[[], object], rehearse: Rehearse) -> None:
    rehearse()
    with pytest.raises(RehearsalError, match=r"look-up of the host (shop\.example|192\.0\.2\.1)"):
        ask()


def test_a_datagram_leaves_in_no_way_and_comes_to_a_socket_of_its_own(rehearse: Rehearse) -> None:
    def udp() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    with udp() as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.setblocking(False)
        rehearse()
        address = elsewhere.getsockname()
        with udp() as sock, pytest.raises(RehearsalError, match="connection to 127"):
            sock.sendto(b"hello", address)
        with udp() as sock, pytest.raises(RehearsalError, match="connection to 127"):
            sock.sendmsg([b"hello"], [], 0, address)
        with pytest.raises(BlockingIOError):
            elsewhere.recv(5)
        with udp() as own, udp() as sock:
            own.bind(("127.0.0.1", 0))
            sock.connect(own.getsockname())
            sock.sendmsg([b"hello"])
            assert own.recv(5) == b"hello"


def test_the_rehearsals_own_endpoint_can_be_reached(template: Cloud, rehearse: Rehearse) -> None:
    template.add("Queue", "AWS::SQS::Queue")
    shop = rehearse()
    endpoint = shop.serve()
    with urllib.request.urlopen(f"{endpoint}/moto-api/data.json", timeout=5) as answer:
        assert answer.status == 200
