"""What a change does, in words: each seeded change is told, once, and noise is not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from cdk_rehearsal import Assembly, Template
from cdk_rehearsal.topology import Comparison, compare_assemblies
from topology.post import DAY_S, arn, post, properties, ref

Templates = dict[str, Template]
Change = Callable[[Templates], object]


def reviewed(change: Change, base: Templates | None = None) -> Comparison:
    before = base or post()
    after = copy.deepcopy(before)
    change(after)
    return compare_assemblies(Assembly(before), Assembly(after))


def told(found: Comparison) -> list[str]:
    """All lines, with their headings."""
    return [f"{name}: {line}" for name, lines in found.sections.items() for line in lines]


def resources(templates: Templates) -> dict[str, Any]:
    found: dict[str, Any] = templates["Post"]["Resources"]
    return found


def having(logical_id: str, **changed: Any) -> Change:
    return lambda templates: properties(templates, logical_id).update(changed)


def renamed(logical_id: str, to: str) -> Change:
    """Gives a resource another logical id; all that refers to it follows, as in synthesis."""

    def follow(value: Any) -> Any:
        match value:
            case {"Ref": name} if name == logical_id:
                return ref(to)
            case {"Fn::GetAtt": [name, attribute]} if name == logical_id:
                return {"Fn::GetAtt": [to, attribute]}
            case dict():
                return {key: follow(inner) for key, inner in value.items()}
            case list():
                return [follow(inner) for inner in value]
        return value

    def rename(templates: Templates) -> None:
        found = follow(resources(templates))
        found[to] = found.pop(logical_id)
        templates["Post"]["Resources"] = found

    return rename


def without_parcels(templates: Templates) -> None:
    for name in ("Parcels", "TrackParcels"):
        del resources(templates)[name]


def with_keyed_table() -> Templates:
    templates = post()
    having("Parcels", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}])(templates)
    return templates


def test_a_table_with_another_key_would_be_replaced() -> None:
    change = having("Parcels", KeySchema=[{"AttributeName": "code", "KeyType": "HASH"}])
    [loss] = reviewed(change, with_keyed_table()).replacements
    assert str(loss) == (
        "`Post/Parcels` (AWS::DynamoDB::Table) may be replaced: KeySchema changes from id HASH "
        "to code HASH, its items with it"
    )


def test_a_queue_that_becomes_fifo_would_be_replaced() -> None:
    [loss] = reviewed(having("Unread", FifoQueue=True)).replacements
    assert loss.why == "would be replaced: FifoQueue changes from nothing to true"


def test_a_table_with_another_logical_id_would_be_replaced_unless_a_refactor_moves_it() -> None:
    found = reviewed(renamed("Parcels", "Packages"))
    [loss] = found.replacements
    assert loss.path == "Post/Parcels"
    assert "its logical id changes from Parcels to Packages" in loss.why
    [line] = told(found)
    assert line.startswith("Moved: `Post/Parcels` → `Post/Parcels` (AWS::DynamoDB::Table)")


@pytest.mark.parametrize("kept", [True, False])
def test_a_table_that_leaves_is_a_loss_whether_or_not_it_stays_in_the_account(kept: bool) -> None:
    base = post()
    if kept:
        resources(base)["Parcels"]["DeletionPolicy"] = "Retain"
    [loss] = reviewed(without_parcels, base).replacements
    assert ("abandoned" if kept else "deleted") in loss.why


def test_a_log_that_stays_in_the_account_is_no_loss() -> None:
    base = post()
    log = {"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain"}
    resources(base)["SortLog"] = {**log, "Metadata": {"aws:cdk:path": "Post/Sort/Log/Resource"}}
    found = reviewed(lambda after: resources(after).pop("SortLog"), base)
    assert not found.replacements
    assert told(found) == ["Besides: gone AWS::Logs::LogGroup: `Post/Sort/Log`"]


def test_a_logical_id_taken_by_another_type_deletes_what_had_it() -> None:
    found = reviewed(lambda after: resources(after)["Parcels"].update(Type="AWS::S3::Bucket"))
    [loss] = found.replacements
    assert "its logical id Parcels is taken by a AWS::S3::Bucket" in loss.why


def test_an_acknowledged_replacement_says_why_and_no_longer_how() -> None:
    found = reviewed(without_parcels)
    assert found.unexcused({"replacement": {"Post/Letters": "another one"}}) == {
        "replacement": found.replacements
    }
    assert found.unexcused({"refused": {"Post/Parcels": "another kind"}})
    refused = found.markdown("Title", {}, "HOW")
    assert "not acknowledged" in refused
    assert "HOW" in refused
    reasons = {"replacement": {"Post/Parcels": "they are in the archive"}}
    assert found.unexcused(reasons) == {}
    taken = found.markdown("Title", reasons, "HOW")
    assert "(acknowledged: they are in the archive)" in taken
    assert "HOW" not in taken
    assert "❌" not in taken


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            lambda after: resources(after).pop("LettersWait"),
            "Alarms: **lost**: `Post/Alarms/ApproximateAgeOfOldestMessage` "
            "(ApproximateAgeOfOldestMessage)",
        ),
        (
            having("LettersWait", AlarmActions=[]),
            "Alarms: `Post/Alarms/ApproximateAgeOfOldestMessage` AlarmActions: Post/Bell → nothing "
            "— **it has no action any more**",
        ),
        (
            having("LettersWait", Threshold=60),
            "Alarms: `Post/Alarms/ApproximateAgeOfOldestMessage` Threshold: 1 → 60",
        ),
        (
            having("Undelivered", MessageRetentionPeriod=DAY_S),
            "Retention: shortened: `Post/Undelivered` MessageRetentionPeriod 1209600 → 86400 s",
        ),
        (
            # Four days by default.
            having("Letters", MessageRetentionPeriod=5 * DAY_S),
            "Retention: extended: `Post/Letters` MessageRetentionPeriod nothing → 432000 s",
        ),
        (
            lambda after: resources(after)["Parcels"].update(DeletionPolicy="Delete"),
            "Retention: loosened: `Post/Parcels` DeletionPolicy nothing → Delete",
        ),
        (
            having("NewsForLetters", RedrivePolicy={"deadLetterTargetArn": arn("Unread")}),
            "Edges: topic `Post/News` → `Post/Letters`: parks in Post/Undelivered → Post/Unread",
        ),
        (
            having("TrackParcels", MaximumRetryAttempts=3),
            "Edges: stream `Post/Parcels` → `Post/Track`: retries 10 times, 3600 s → 3 times, "
            "3600 s",
        ),
        (
            having("Sort", Timeout=20),
            "Besides: `Post/Sort` Timeout: 30 → 20",
        ),
        (
            lambda after: properties(after, "ReadPolicy")["PolicyDocument"]["Statement"][0].update(
                Action=["sqs:SendMessage", "sqs:*"]
            ),
            "Permissions: widened: `Post/Read` may `sqs:*` on `Post/Unread` — a wildcard",
        ),
        (
            lambda after: properties(after, "LettersPolicy")["PolicyDocument"]["Statement"][0].pop(
                "Condition"
            ),
            "Permissions: widened: `events.amazonaws.com` may `sqs:SendMessage` on `Post/Letters` "
            "whatever aws:SourceArn ArnEquals is",
        ),
        (
            lambda after: resources(after).pop("ReadPolicy"),
            "Permissions: narrowed: `Post/Read` may no longer `sqs:SendMessage` on `Post/Unread`",
        ),
    ],
)
def test_a_change_is_told_in_one_line(change: Change, line: str) -> None:
    found = told(reviewed(change))
    assert line in found
    # What secures an edge may be told of the edge, too; a policy that goes is counted as well.
    assert [other for other in found if other != line and not _follows(other)] == []


def _follows(line: str) -> bool:
    return line == "Besides: gone besides: 1 Policy"


def test_a_new_edge_says_what_it_takes_and_what_it_lacks() -> None:
    def subscribe(after: Templates) -> None:
        subscription = copy.deepcopy(resources(after)["NewsForLetters"])
        subscription["Metadata"] = {"aws:cdk:path": "Post/NewsForUnread/Resource"}
        subscription["Properties"]["Endpoint"] = arn("Unread")
        del subscription["Properties"]["RedrivePolicy"]
        resources(after)["NewsForUnread"] = subscription

    found = told(reviewed(subscribe))
    [line] = [line for line in found if line.startswith("Edges")]
    assert line.startswith("Edges: new topic: `Post/News` → `Post/Unread`")
    assert "parks in **nothing**" in line
    assert "**It lacks a dead-letter queue.**" in line


def test_a_lost_edge_is_told() -> None:
    found = told(reviewed(lambda after: resources(after).pop("NewsForLetters")))
    assert "Edges: gone topic: `Post/News` → `Post/Letters`" in found


def test_what_goes_with_a_function_is_not_told_at_length() -> None:
    def drop(after: Templates) -> None:
        for name in ("Read", "ReadRole", "ReadPolicy", "ReadInvoked", "ScansHeard"):
            del resources(after)[name]

    found = told(reviewed(drop))
    assert "Besides: gone function: `Post/Read`" in found
    assert not [line for line in found if line.startswith("Permissions")]


def test_no_change_is_one_line() -> None:
    comment = reviewed(lambda after: None).markdown("Title", {}, "HOW")
    assert comment == "**Title**: no change to events, API, templates or permissions.\n"


@pytest.mark.parametrize(
    "change",
    [
        having("Sort", Code={"S3Bucket": "assets", "S3Key": "after.zip"}),
        having("Sort", Description="Another sentence."),
        having("LettersWait", AlarmDescription="Another runbook."),
        renamed("Sort", "Sorter"),
        renamed("SortRole", "SortersRole"),
        renamed("Posted", "Sent"),
    ],
)
def test_hashes_prose_and_logical_ids_are_noise(change: Change) -> None:
    base = post()
    having("Sort", Code={"S3Bucket": "assets", "S3Key": "before.zip"}, Description="One.")(base)
    found = reviewed(change, base)
    assert (found.replacements, found.refusals, told(found)) == ([], [], [])


def test_a_long_section_is_cut_and_says_so() -> None:
    found = Comparison(sections={"Besides": [f"line {number}" for number in range(40)]})
    comment = found.markdown("Title", {}, "HOW")
    assert "- line 24\n" in comment
    assert comment.endswith("- and 15 more\n")
