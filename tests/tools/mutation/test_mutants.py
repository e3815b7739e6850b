"""A mutant has one resource weakened at one property, and nothing else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Resource
from cdk_rehearsal.weakening import (
    ANY,
    REMOVED,
    Change,
    MutationOperator,
    add,
    drop,
    drop_first,
    merge,
    multiply,
    mutants,
    read_operators,
    remove,
    replace,
    weaken,
    widen,
)
from tools.mutation.operators import OPERATORS

QUEUE = "AWS::SQS::Queue"
AT_LEAST = 200
NOT_TRACED = "The handlers write spans into their logs, and X-Ray records nothing."
ABSENT = {
    "function: not traced": NOT_TRACED,
    "function: tracing passes through": NOT_TRACED,
    "workflow: not traced": NOT_TRACED,
}
"""Operators of the package that find nothing to weaken in this application, and why."""


@pytest.fixture
def shop(templates: Mapping[str, Assembly]) -> Assembly:
    return templates["prod"]


def changed(before: Assembly, after: Assembly) -> list[Resource]:
    def stated(assembly: Assembly, resource: Resource) -> object:
        return assembly.templates[resource.stack]["Resources"].get(resource.logical_id)

    return [each for each in before.resources if stated(after, each) != stated(before, each)]


@pytest.mark.parametrize(
    ("value", "path", "change", "expected"),
    [
        ({"A": 1, "B": 2}, "A", remove(), [("A", {"B": 2})]),
        ({"A": 1}, "A", remove(unless=1), []),
        ({"A": 1}, "A", replace(to=1), []),
        ({"A": 1}, "B", remove(), []),
        ({"A": 1}, "B?", replace(to=0), [("B", {"A": 1, "B": 0})]),
        ({"A": 10}, "A", multiply(by=0.5), [("A", {"A": 5})]),
        ({"A": "s3:Get"}, "A", add(value="s3:*"), [("A", {"A": ["s3:Get", "s3:*"]})]),
        ({"A": "s3:*"}, "A", add(value="s3:*"), []),
        ({"A": ["s3:Get"]}, "A", widen(), [("A", {"A": ["s3:*"]})]),
        ({"A": {"B": 1}}, "A", merge(value={"C": 2}), [("A", {"A": {"B": 1, "C": 2}})]),
        ({"A": ["one", "two"]}, "A", drop(containing="w"), [("A", {"A": ["one"]})]),
        ({"A": [1, 2]}, "A", drop_first(), [("A", {"A": [2]})]),
        ({"A": [1]}, "A", drop_first(), []),
        ([{"A": 1}, {}], "*.A", remove(), [("0.A", [{}, {}])]),
        ([1, 2], "*", remove(), [("0", [2]), ("1", [1])]),
        ({"A": '{"B": 1, "C": 2}'}, "A.B", remove(), [("A.B", {"A": '{"C": 2}'})]),
        ({"A": "a text"}, "A.B", remove(), []),
        ({"Xa": 1, "Xb": 2}, "X*", remove(), [("Xa", {"Xb": 2}), ("Xb", {"Xa": 1})]),
    ],
)
def test_a_change_applies_to_each_property_to_which_the_path_leads(
    value: Any, path: str, change: Change, expected: list[tuple[str, Any]]
) -> None:
    assert list(weaken(value, path.split("."), change)) == expected


@pytest.mark.parametrize(
    "entry",
    ['{ shrink = "A" }', '{ set = "A" }', '{ remove = "A", to = 1 }', '{ add = "A", to = 1 }'],
)
def test_an_unknown_change_is_an_error_that_names_the_file_and_the_operator(
    tmp_path: Path, entry: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'["AWS::SQS::Queue"]\n"queue: none" = {entry}\n')
    with pytest.raises(ValueError, match=r'mine\.toml, "queue: none": .*begin with one of remove'):
        read_operators(path)


def test_a_mutant_changes_one_resource_and_leaves_the_templates_as_they_were(
    shop: Assembly,
) -> None:
    before = json.dumps(shop.templates)
    of_each_operator = {mutant.operator: mutant for mutant in mutants(shop, OPERATORS, each=1)}
    for mutant in of_each_operator.values():
        (touched,) = changed(shop, mutant.of(shop))
        assert touched.path == mutant.resource.path, mutant
    assert json.dumps(shop.templates) == before


def test_a_removed_property_is_missing(shop: Assembly) -> None:
    operator = MutationOperator("no redrive", QUEUE, "RedrivePolicy", remove())
    (mutant,) = mutants(shop, [operator], each=1)
    weakened = mutant.of(shop).at(mutant.resource.path)
    assert "RedrivePolicy" in mutant.resource.properties
    assert weakened.properties.keys() == mutant.resource.properties.keys() - {"RedrivePolicy"}


def test_a_removed_resource_is_missing(shop: Assembly) -> None:
    operator = MutationOperator("no queue", QUEUE, "", remove())
    mutant = next(iter(mutants(shop, [operator])))
    assert mutant.weakened is REMOVED
    left = {resource.path for resource in mutant.of(shop).all_of(QUEUE)}
    assert left == {resource.path for resource in shop.all_of(QUEUE)} - {mutant.resource.path}


def test_a_step_of_a_workflow_is_weakened_in_its_definition(shop: Assembly) -> None:
    path = "Definition.States.ReserveStock.Retry"
    machine = "AWS::StepFunctions::StateMachine"
    (mutant,) = mutants(shop, [MutationOperator("no retry", machine, path, remove())])
    before = shop.definition(mutant.resource)
    after = mutant.of(shop)
    states = after.definition(after.at(mutant.resource.path))["States"]
    del before["States"]["ReserveStock"]["Retry"]
    assert states == before["States"]


def test_each_operator_weakens_something(classic: Assembly, custom: Assembly) -> None:
    idle = [
        operator.name
        for operator in OPERATORS
        if not any(list(mutants(shop, [operator], each=1)) for shop in (custom, classic))
    ]
    assert idle == [*ABSENT]


def test_there_are_hundreds_of_different_mutants(classic: Assembly, custom: Assembly) -> None:
    named = [operator for operator in OPERATORS if operator.type != ANY]
    assert len({operator.name for operator in named}) == len(named) >= AT_LEAST
    shops = (classic, custom)
    found = {str(mutant) for shop in shops for mutant in mutants(shop, named, each=1)}
    assert len(found) >= AT_LEAST
