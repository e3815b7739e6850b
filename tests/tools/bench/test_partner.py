"""The benchmark of the payment provider's client calls a real HTTPS host."""

import pytest

from stacks.constructs.packaging import Target, prepare
from tools.bench.partner import medians, probe, table


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """The packages of the handlers, as deployed."""
    prepare(Target.HOST)


def test_the_client_is_measured_from_its_import_to_its_calls() -> None:
    sample = probe(calls=3)
    assert len(sample["calls"]) == 3
    for cost in (sample["import"], sample["trust"], sample["first_call"], *sample["calls"]):
        assert cost["wall_ms"] > 0
        assert cost["cpu_ms"] > 0
    assert 0 < sample["modules"] < 10
    assert table(medians([sample])).row_count == 4


def test_a_call_that_fails_is_an_error_and_no_figure() -> None:
    with pytest.raises(RuntimeError, match="malformed"):
        probe(calls=1, answer={"id": "pi_1"})
