"""Secrets: cached for a limited time."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from lambdas.eventing import aws
from lambdas.eventing.misconfiguration import Misconfigured
from lambdas.eventing.secret import KEPT_S, secret
from tests.support.cloud import Cloud


@pytest.fixture
def arn(cloud: Cloud) -> str:
    return aws.secrets().create_secret(Name="s", SecretString="first")["ARN"]


@pytest.fixture
def reads(cloud: Cloud) -> list[str]:
    """The secrets that were read, in sequence."""
    read: list[str] = []
    get = aws.secrets().get_secret_value

    def counted(**request: str) -> object:
        read.append(request["SecretId"])
        return get(**request)

    cloud.monkeypatch.setattr(aws.secrets(), "get_secret_value", counted)
    return read


def after(seconds: float) -> time_machine.travel:
    return time_machine.travel(datetime.now(UTC) + timedelta(seconds=seconds))


def test_a_secret_is_read_once_for_many_uses(arn: str, reads: list[str]) -> None:
    assert [secret(arn) for _ in range(5)] == ["first"] * 5
    assert reads == [arn]


def test_a_new_value_is_used_after_the_cache_expires(arn: str, reads: list[str]) -> None:
    secret(arn)
    aws.secrets().put_secret_value(SecretId=arn, SecretString="second")
    with after(KEPT_S - 10):
        assert secret(arn) == "first"
    with after(KEPT_S + 1):
        assert secret(arn) == "second"
    assert reads == [arn, arn]


def test_a_new_execution_environment_reads_the_secret_again(arn: str, cloud: Cloud) -> None:
    secret(arn)
    aws.secrets().put_secret_value(SecretId=arn, SecretString="second")
    cloud.configure({})
    assert secret(arn) == "second"


def test_each_secret_has_its_own_cache_entry(arn: str) -> None:
    other = aws.secrets().create_secret(Name="t", SecretString="other")["ARN"]
    assert (secret(arn), secret(other)) == ("first", "other")


@pytest.mark.usefixtures("cloud")
def test_a_secret_that_cannot_be_read_is_an_error_and_is_not_cached() -> None:
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        secret("late")
    aws.secrets().create_secret(Name="late", SecretString="there")
    assert secret("late") == "there"


@pytest.mark.usefixtures("cloud")
def test_a_binary_secret_is_a_configuration_error_that_names_the_secret() -> None:
    arn = aws.secrets().create_secret(Name="b", SecretBinary=b"\xff")["ARN"]
    with pytest.raises(Misconfigured, match=re.escape(f"{arn} is binary: store it as a text")):
        secret(arn)
