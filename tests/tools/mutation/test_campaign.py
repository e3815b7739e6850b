"""The campaign reports the checks that kill each mutant, and the survivors without explanation."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cdk_rehearsal import Assembly
from cdk_rehearsal.weakening import Mutant, MutationOperator, mutants, remove, replace
from tools.mutation.campaign import CampaignError, MutantResult, run
from tools.mutation.operators import OPERATORS
from tools.mutation.survivors import SurvivorExplanation, explanations, stale, unexplained

QUEUE = "AWS::SQS::Queue"
BY_RULES = "queue: no dead-letter queue"
BY_TESTS = "queue: short polling"
HARMLESS = MutationOperator(
    "queue: a tag", QUEUE, "Tags?", replace(to=[{"Key": "team", "Value": "shop"}])
)
TESTS = ["tests/stacks/test_queues.py"]


def sample(shop: Assembly) -> list[Mutant]:
    named = [operator for operator in OPERATORS if operator.name in {BY_RULES, BY_TESTS}]
    assert len(named) == 2
    return [next(iter(mutants(shop, [operator], each=1))) for operator in [*named, HARMLESS]]


def test_weakened_templates_are_killed_and_harmless_ones_survive(
    templates: Mapping[str, Assembly],
) -> None:
    reported: list[MutantResult] = []
    results = run(templates, sample(templates["prod"]), reported.append, TESTS)
    assert results == reported
    found = {result.mutant.operator.name: result for result in results}
    assert found[BY_RULES].by_durability
    assert "Durability::DeadLetterQueue" in found[BY_RULES].killers
    assert not found[BY_TESTS].by_durability
    test = "test_queues_use_long_polling"
    assert test in str(found[BY_TESTS].by_tests)
    assert found[HARMLESS.name].killers == []


def test_a_weakened_classic_bus_is_killed_by_a_test_of_classic_buses(
    templates: Mapping[str, Assembly], classic: Assembly, custom: Assembly
) -> None:
    (operator,) = [each for each in OPERATORS if each.name == "archive: no events"]
    (mutant,) = mutants(classic, [operator], each=1)
    tests = ["tests/stacks/test_custom_bus.py", "tests/stacks/test_rules.py"]
    on_classic = {**templates, "prod": classic}
    (result,) = run(on_classic, [mutant], tests=tests, bus="classic", other_bus=custom)
    assert "test_the_archive_keeps_every_event_of_the_shop" in str(result.by_tests)


def test_templates_that_fail_unchanged_are_an_error(templates: Mapping[str, Assembly]) -> None:
    (mutant, *_) = sample(templates["prod"])
    broken = {**templates, "prod": mutant.of(templates["prod"])}
    with pytest.raises(CampaignError, match="fail on the unchanged templates, such as tests/"):
        run(broken, [mutant], tests=TESTS)


def test_missing_tests_are_an_error(templates: Mapping[str, Assembly]) -> None:
    with pytest.raises(CampaignError, match="pytest ended with"):
        run(templates, sample(templates["prod"]), tests=["tests/stacks/test_nothing.py"])


class TestSurvivors:
    @pytest.fixture
    def survivor(self, templates: Mapping[str, Assembly]) -> Mutant:
        operator = MutationOperator("queue: forgets", QUEUE, "MessageRetentionPeriod", remove())
        found = mutants(templates["prod"], [operator])
        return next(each for each in found if each.resource.path.endswith("/DeadLetters"))

    @pytest.mark.parametrize(
        ("patterns", "explained"),
        [
            (("queue: forgets", "*", "*"), True),
            (("queue: *", "*/DeadLetters", "Message*"), True),
            (("queue: remembers", "*", "*"), False),
            (("queue: forgets", "Nowhere/*", "*"), False),
            (("queue: forgets", "*", "Redrive*"), False),
        ],
    )
    def test_each_survivor_needs_an_explanation_and_each_explanation_a_survivor(
        self, survivor: Mutant, patterns: tuple[str, str, str], explained: bool
    ) -> None:
        explanation = SurvivorExplanation(*patterns, why="It is like that.")
        assert (unexplained([survivor], [explanation]) == []) is explained
        assert (stale([survivor], [explanation]) == []) is explained

    def test_explanations_of_the_project_give_a_reason(self) -> None:
        found = explanations()
        assert found
        for explanation in found:
            assert len(explanation.why.split()) >= 8, explanation

    @pytest.mark.parametrize(
        "entry",
        [
            'operator = "alarm: gone"',
            'operator = "alarm: gone"\nwhy = " "',
            'why = "because"',
            'operator = "alarm: gone"\nwhy = "because"\nwhen = "always"',
            'operator = "alarm: gone"\nwhy = "because"\nbus = "new"',
        ],
    )
    def test_an_incomplete_or_unknown_entry_is_an_error(self, tmp_path: Path, entry: str) -> None:
        path = tmp_path / "survivors.toml"
        path.write_text(f"[[survivor]]\n{entry}\n")
        with pytest.raises(ValueError, match=r"survivors\.toml: wrong entry"):
            explanations(path)
