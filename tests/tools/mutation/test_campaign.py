"""The campaign: what is noticed, by whom, and what is said of the rest."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from cdk_rehearsal import Assembly
from tools.mutation.campaign import CampaignError, Verdict, run
from tools.mutation.mutants import Mutant, mutants
from tools.mutation.operators import OPERATORS, Operator, gone, to
from tools.mutation.survivors import Explanation, explanations, stale, unexplained

QUEUE = "AWS::SQS::Queue"
BY_RULES = "queue: no dead-letter queue"
BY_TESTS = "queue: asks all the time"
HARMLESS = Operator("queue: a tag", QUEUE, "Tags?", to([{"Key": "team", "Value": "shop"}]))
TESTS = ["tests/stacks/test_queues.py"]


def sample(shop: Assembly) -> list[Mutant]:
    named = [operator for operator in OPERATORS if operator.name in {BY_RULES, BY_TESTS}]
    assert len(named) == 2
    return [next(iter(mutants(shop, [operator], each=1))) for operator in [*named, HARMLESS]]


def test_weakened_templates_are_noticed_and_harmless_ones_are_not(
    templates: Mapping[str, Assembly],
) -> None:
    seen: list[Verdict] = []
    verdicts = run(templates, sample(templates["prod"]), seen.append, TESTS)
    assert verdicts == seen
    found = {verdict.mutant.operator.name: verdict for verdict in verdicts}
    assert found[BY_RULES].by_durability
    assert "Durability::DeadLetterQueue" in found[BY_RULES].killers
    assert not found[BY_TESTS].by_durability
    test = "test_receiving_waits_instead_of_asking_all_the_time"
    assert test in str(found[BY_TESTS].by_tests)
    assert found[HARMLESS.name].killers == []


def test_templates_that_fail_as_they_are_prove_nothing(templates: Mapping[str, Assembly]) -> None:
    (mutant, *_) = sample(templates["prod"])
    broken = {**templates, "prod": mutant.of(templates["prod"])}
    with pytest.raises(CampaignError, match="fail with nothing weakened, one of them is tests/"):
        run(broken, [mutant], tests=TESTS)


def test_tests_that_are_not_there_are_an_error(templates: Mapping[str, Assembly]) -> None:
    with pytest.raises(CampaignError, match="pytest ended with"):
        run(templates, sample(templates["prod"]), tests=["tests/stacks/test_nothing.py"])


class TestSurvivors:
    @pytest.fixture
    def survivor(self, templates: Mapping[str, Assembly]) -> Mutant:
        operator = Operator("queue: forgets", QUEUE, "MessageRetentionPeriod", gone)
        return next(iter(mutants(templates["prod"], [operator])))

    @pytest.mark.parametrize(
        ("known", "explained"),
        [
            (("queue: forgets", "*", "*"), True),
            (("queue: *", "*/DeadLetters", "Message*"), True),
            (("queue: remembers", "*", "*"), False),
            (("queue: forgets", "Nowhere/*", "*"), False),
            (("queue: forgets", "*", "Redrive*"), False),
        ],
    )
    def test_each_has_to_be_explained_and_each_explanation_to_be_of_one(
        self, survivor: Mutant, known: tuple[str, str, str], explained: bool
    ) -> None:
        explanation = Explanation(*known, why="It is like that.")
        assert (unexplained([survivor], [explanation]) == []) is explained
        assert (stale([survivor], [explanation]) == []) is explained

    def test_those_of_the_project_say_why(self) -> None:
        for explanation in explanations():
            assert len(explanation.why.split()) >= 8, explanation

    @pytest.mark.parametrize(
        "entry",
        [
            'operator = "alarm: gone"',
            'operator = "alarm: gone"\nwhy = " "',
            'why = "because"',
            'operator = "alarm: gone"\nwhy = "because"\nwhen = "always"',
        ],
    )
    def test_an_entry_that_lacks_something_is_an_error(self, tmp_path: Path, entry: str) -> None:
        path = tmp_path / "survivors.toml"
        path.write_text(f"[[survivor]]\n{entry}\n")
        with pytest.raises(ValueError, match=r"survivors\.toml: an entry has"):
            explanations(path)
