"""Mutants: each is one resource weakened at one place, and nothing else."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from tools.mutation.mutants import mutants, weaken
from tools.mutation.operators import ANY, DELETED, OPERATORS, Operator, also, gone, times, to
from tools.mutation.operators import without_first as first_gone

QUEUE = "AWS::SQS::Queue"
AT_LEAST = 200


@pytest.fixture
def shop(templates: Mapping[str, Assembly]) -> Assembly:
    return templates["prod"]


def changed(before: Assembly, after: Assembly) -> list[Resource]:
    return [
        resource
        for resource in before.resources
        if after.identified(resource.stack, resource.logical_id) != resource
    ]


@pytest.mark.parametrize(
    ("value", "path", "change", "expected"),
    [
        ({"A": 1, "B": 2}, "A", gone, [("A", {"B": 2})]),
        ({"A": 1}, "A", to(1), []),
        ({"A": 1}, "B", gone, []),
        ({"A": 1}, "B?", to(0), [("B", {"A": 1, "B": 0})]),
        ({"A": 10}, "A", times(0.5), [("A", {"A": 5})]),
        ({"A": "s3:Get"}, "A", also("s3:*"), [("A", {"A": ["s3:Get", "s3:*"]})]),
        ({"A": [1, 2]}, "A", first_gone, [("A", {"A": [2]})]),
        ({"A": [1]}, "A", first_gone, []),
        ([{"A": 1}, {}], "*.A", gone, [("0.A", [{}, {}])]),
        ([1, 2], "*", gone, [("0", [2]), ("1", [1])]),
        ({"A": '{"B": 1, "C": 2}'}, "A.B", gone, [("A.B", {"A": '{"C": 2}'})]),
        ({"A": "a text"}, "A.B", gone, []),
        ({"Xa": 1, "Xb": 2}, "X*", gone, [("Xa", {"Xb": 2}), ("Xb", {"Xa": 1})]),
    ],
)
def test_a_path_leads_to_each_place_where_something_changes(
    value: Any, path: str, change: Any, expected: list[tuple[str, Any]]
) -> None:
    assert list(weaken(value, path.split("."), change)) == expected


def test_a_mutant_changes_one_resource_and_leaves_the_templates_as_they_were(
    shop: Assembly,
) -> None:
    before = json.dumps(shop.templates)
    for operator in OPERATORS[::8]:
        for mutant in mutants(shop, [operator], each=1):
            (touched,) = changed(shop, mutant.of(shop))
            assert touched.path == mutant.resource.path, mutant
    assert json.dumps(shop.templates) == before


def test_a_property_that_is_taken_away_is_not_there(shop: Assembly) -> None:
    operator = Operator("no redrive", QUEUE, "RedrivePolicy", gone)
    (mutant,) = mutants(shop, [operator], each=1)
    weakened = mutant.of(shop).at(mutant.resource.path)
    assert "RedrivePolicy" in mutant.resource.properties
    assert weakened.properties.keys() == mutant.resource.properties.keys() - {"RedrivePolicy"}


def test_a_resource_that_is_taken_away_is_not_there(shop: Assembly) -> None:
    mutant = next(iter(mutants(shop, [Operator("no queue", QUEUE, "", gone)])))
    assert mutant.weakened is DELETED
    left = {resource.path for resource in mutant.of(shop).all_of(QUEUE)}
    assert left == {resource.path for resource in shop.all_of(QUEUE)} - {mutant.resource.path}


def test_a_step_of_a_workflow_is_weakened_in_its_definition(shop: Assembly) -> None:
    path = "Definition.States.ReserveStock.Retry"
    machine = "AWS::StepFunctions::StateMachine"
    (mutant,) = mutants(shop, [Operator("no retry", machine, path, gone)])
    before = shop.definition(mutant.resource)
    after = mutant.of(shop)
    states = after.definition(after.at(mutant.resource.path))["States"]
    del before["States"]["ReserveStock"]["Retry"]
    assert states == before["States"]


def test_each_operator_has_something_to_weaken(shop: Assembly) -> None:
    idle = [operator.name for operator in OPERATORS if not list(mutants(shop, [operator], each=1))]
    assert idle == []


def test_there_are_hundreds_of_different_ones(shop: Assembly) -> None:
    named = [operator for operator in OPERATORS if operator.type != ANY]
    assert len({operator.name for operator in named}) == len(named) >= AT_LEAST
    assert len({str(mutant) for mutant in mutants(shop, named, each=1)}) >= AT_LEAST
