"""Clients: created on demand, with timeouts that let a function still report a failure."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly
from lambdas.eventing import aws

USUAL_S = 2
CLIENTS = [
    (aws.dynamodb, "dynamodb", USUAL_S),
    (aws.events, "events", USUAL_S),
    (aws.kinesis, "kinesis", USUAL_S),
    (aws.s3, "s3", USUAL_S),
    (aws.scheduler, "scheduler", USUAL_S),
    (aws.secrets, "secretsmanager", USUAL_S),
    (aws.ses, "sesv2", 5),
    (aws.sns, "sns", 5),
    (aws.sqs, "sqs", USUAL_S),
    (aws.stepfunctions, "stepfunctions", USUAL_S),
]


@pytest.mark.usefixtures("cloud")
class TestClients:
    @pytest.mark.parametrize(("get", "name", "longest_s"), CLIENTS)
    def test_each_service_has_one_client_for_the_life_of_the_environment(
        self, get: Callable[[], Any], name: str, longest_s: int
    ) -> None:
        assert get() is get()
        assert get().meta.service_model.service_name == name
        assert get().meta.config.read_timeout == longest_s

    def test_a_call_that_hangs_fails_before_any_function_times_out(
        self, templates: Mapping[str, Assembly]
    ) -> None:
        """Standard mode pauses up to 1, then up to 2 seconds between three attempts.

        https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
        """
        config: Any = aws.dynamodb().meta.config
        attempts = config.retries["total_max_attempts"]
        pauses = sum(2**retry for retry in range(attempts - 1))
        longest = attempts * max(config.connect_timeout, config.read_timeout) + pauses
        timeouts = [
            function.properties["Timeout"]
            for function in templates["dev"].of_type("AWS::Lambda::Function")
        ]
        assert longest < min(timeouts)

    def test_a_client_with_a_long_timeout_does_not_retry(self) -> None:
        config = aws.client("stepfunctions", read_timeout_s=100).meta.config
        assert config.read_timeout == 100
        assert config.retries["total_max_attempts"] == 1
