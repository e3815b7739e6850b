"""The review comment: changes of events and of the API, acknowledgements, and errors."""

import copy
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from cdk_rehearsal import Assembly
from lambdas.orders import place_order
from lambdas.orders.place_order import PlaceOrder
from stacks.schemas.json_schema import Schema
from tools.contracts import review
from tools.contracts.acknowledgements import FILE, AcknowledgementError, reasons
from tools.contracts.review import ReviewError, events, kept
from workspace.isolation import PROJECT

PLACED: Schema = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "note": {"type": "string"}},
    "required": ["order_id", "note"],
}
SHOP = Assembly(
    {
        "Shop": {
            "Resources": {
                "Bus": {"Type": "AWS::Events::EventBus"},
                "Queue": {
                    "Type": "AWS::SQS::Queue",
                    "Metadata": {"aws:cdk:path": "Shop/Pack/Queue/Resource"},
                },
                "Rule": {
                    "Type": "AWS::Events::Rule",
                    "Properties": {
                        "EventBusName": {"Ref": "Bus"},
                        "EventPattern": {"detail-type": ["OrderPlaced.v1"]},
                        "Targets": [{"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}],
                    },
                },
            }
        }
    }
)


def tree(parent: Path, name: str, **schemas: Schema) -> Path:
    directory = parent / name / "docs" / "events" / "orders"
    directory.mkdir(parents=True)
    for event, schema in schemas.items():
        (directory / f"{event}.v1.schema.json").write_text(json.dumps(schema))
    return parent / name


def reported(base: Path, head: Path) -> list[str]:
    return events(kept(base).events, kept(head).events, SHOP, SHOP)


def test_a_removed_field_is_breaking_and_names_the_consumers(tmp_path: Path) -> None:
    after = copy.deepcopy(PLACED)
    del after["properties"]["note"]
    after["required"] = ["order_id"]
    [line] = reported(
        tree(tmp_path, "base", OrderPlaced=PLACED), tree(tmp_path, "head", OrderPlaced=after)
    )
    assert line.startswith("**breaking**: OrderPlaced.v1")
    assert "note" in line
    assert line.endswith("taken by `Shop/Pack`")


def test_an_added_field_breaks_no_consumer(tmp_path: Path) -> None:
    after = copy.deepcopy(PLACED)
    after["properties"]["gift"] = {"type": "boolean"}
    assert reported(
        tree(tmp_path, "base", OrderPlaced=PLACED), tree(tmp_path, "head", OrderPlaced=after)
    ) == ["changed: OrderPlaced.v1 (gift) breaks nobody; taken by `Shop/Pack`"]


def test_new_and_removed_events_are_reported_with_their_consumers(tmp_path: Path) -> None:
    both = tree(tmp_path, "both", OrderPlaced=PLACED, OrderLost=PLACED)
    one = tree(tmp_path, "one", OrderLost=PLACED)
    none = tree(tmp_path, "none")
    assert reported(one, both) == ["new: OrderPlaced.v1, taken by `Shop/Pack`"]
    assert reported(both, one) == ["gone: OrderPlaced.v1, taken by `Shop/Pack`"]
    assert reported(both, both) == []
    assert reported(none, one) == [
        "the base has no schemas in `docs/events`: they are not compared"
    ]


def acknowledging(parent: Path, name: str, text: str) -> Path:
    file = parent / name / FILE
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return parent / name


def acknowledged(base: Path, head: Path) -> Mapping[str, str]:
    return reasons(head, base)["replacement"]


ENTRY = '[[replacement]]\npath = "Orders/Orders/Table"\nreason = "It is empty."\n'


def test_an_entry_counts_only_for_the_change_that_adds_it(tmp_path: Path) -> None:
    without, having = acknowledging(tmp_path, "a", ""), acknowledging(tmp_path, "b", ENTRY)
    assert acknowledged(without, having) == {"Orders/Orders/Table": "It is empty."}
    assert acknowledged(having, having) == {}
    assert acknowledged(having, tmp_path / "no file") == {}
    assert reasons(having)["replacement"] == {"Orders/Orders/Table": "It is empty."}


@pytest.mark.parametrize("kind", ["replacement", "refused", "breaking"])
def test_an_entry_counts_only_for_its_own_kind(tmp_path: Path, kind: str) -> None:
    head = acknowledging(tmp_path, "head", ENTRY.replace("replacement", kind))
    assert {name for name, found in reasons(head).items() if found} == {kind}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[replacement]\n", "line 1"),
        ('[[replacement]]\npath = "A"\n', "`reason` - at `$.replacement[0]`"),
        ('[[replacement]]\npath = "A"\nreason = " "\n', "at `$.replacement[0].reason`"),
        ('[replacement]\npath = "A"\nreason = "B"\n', "`array`, got `object` - at `$.replacement`"),
        ('[[replacment]]\npath = "A"\nreason = "B"\n', "unknown field `replacment`"),
    ],
)
def test_an_invalid_acknowledgement_names_the_file_the_location_and_the_remedy(
    tmp_path: Path, text: str, message: str
) -> None:
    wrong, right = acknowledging(tmp_path, "wrong", text), acknowledging(tmp_path, "right", ENTRY)
    with pytest.raises(AcknowledgementError, match=re.escape(message)) as raised:
        acknowledged(right, wrong)
    assert str(raised.value).startswith("docs/acknowledged-changes.toml: ")
    assert "[[breaking]] with a path and a reason" in str(raised.value)
    # A later change can correct it.
    assert acknowledged(wrong, right) == {"Orders/Orders/Table": "It is empty."}


def test_the_projects_acknowledgements_can_be_read(tmp_path: Path) -> None:
    assert isinstance(acknowledged(tmp_path, PROJECT), dict)
    assert (PROJECT / FILE).is_file()


def test_the_suggested_entry_can_be_pasted(
    tmp_path: Path, templates: Mapping[str, Assembly]
) -> None:
    before = Assembly(templates["prod"].templates)
    after = Assembly(copy.deepcopy(dict(before.templates)))
    [table] = [
        each
        for each in after.of_type("AWS::DynamoDB::GlobalTable")
        if each.path == "Orders/Orders/Table"
    ]
    table.properties["KeySchema"][0]["AttributeName"] = "other"
    refused, fine = review.comment(before, after, tmp_path, tmp_path, "Title")
    assert not fine
    assert "[[refused]]" not in refused
    [entry] = re.findall(r"```toml\n(.*?)\n```", refused, re.DOTALL)
    head = acknowledging(tmp_path, "head", entry.replace("…", "It is empty."))
    accepted, fine = review.comment(before, after, tmp_path, head, "Title")
    assert fine
    assert "(acknowledged: It is empty.)" in accepted


def test_an_entry_without_a_finding_is_reported(tmp_path: Path) -> None:
    head = acknowledging(tmp_path, "head", ENTRY)
    comment, fine = review.comment(SHOP, SHOP, tmp_path, head, "Title")
    assert fine
    assert "lists `Orders/Orders/Table` as replacement, but there is no such finding" in comment


def with_api(parent: Path, name: str, document: object) -> Path:
    file = parent / name / "docs" / "openapi.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(document))
    return parent / name


def test_changes_of_the_api_are_listed_and_breaking_ones_need_a_reason(tmp_path: Path) -> None:
    api = json.loads((PROJECT / "docs" / "openapi.json").read_bytes())
    base = with_api(tmp_path, "base", api)
    schemas = api["components"]["schemas"]
    schemas["RecordActivity"]["properties"]["device"] = {"type": "string"}
    more = with_api(tmp_path, "more", api)
    comment, fine = review.comment(SHOP, SHOP, base, more, "Title")
    assert fine
    assert "#### API\n\n- changed: `POST /activity` (body.device) breaks nobody\n" in comment

    schemas["RecordActivity"]["required"].append("device")
    head = with_api(tmp_path, "head", api)
    comment, fine = review.comment(SHOP, SHOP, base, head, "Title")
    assert not fine
    assert "- ❌ `POST /activity` body $.device is new and required" in comment
    assert "Accept the old form as well" in comment
    [entry] = re.findall(r"```toml\n(.*?)\n```", comment, re.DOTALL)
    (head / FILE).write_text(entry.replace("…", "One client, and it sends the field."))
    comment, fine = review.comment(SHOP, SHOP, base, head, "Title")
    assert fine
    assert "(acknowledged: One client, and it sends the field.)" in comment


def test_a_new_table_is_lost_by_a_roll_back_which_the_comment_says_in_advance(
    tmp_path: Path,
) -> None:
    table = {"Type": "AWS::DynamoDB::Table"}
    after = Assembly({"Shop": {"Resources": {**SHOP.templates["Shop"]["Resources"], "New": table}}})
    comment, fine = review.comment(SHOP, after, tmp_path / "base", tmp_path / "head", "Title")
    assert fine
    assert (
        "#### What prevents a roll back\n\n- `Shop/New` (AWS::DynamoDB::Table) would be" in comment
    )
    assert review.going_back(SHOP, SHOP) == []


def test_a_base_without_a_document_is_reported(tmp_path: Path) -> None:
    head = with_api(tmp_path, "head", {"paths": {}})
    comment, fine = review.comment(SHOP, SHOP, tmp_path / "base", head, "Title")
    assert fine
    assert "the base has no `docs/openapi.json`: routes are not compared" in comment


def test_an_invalid_document_is_named(tmp_path: Path) -> None:
    head = with_api(tmp_path, "head", {})
    (head / "docs" / "openapi.json").write_text("<<<<<<< HEAD")
    with pytest.raises(ReviewError, match="is not JSON"):
        review.comment(SHOP, SHOP, tmp_path, head, "Title")


def test_interfaces_come_from_the_code_even_if_documents_are_outdated(
    templates: Mapping[str, Assembly], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = templates["prod"]
    if review.current(shop) != kept(PROJECT):
        pytest.fail("documents in docs are out of date: run `make generated`", pytrace=False)

    class WithGift(PlaceOrder, frozen=True, kw_only=True, forbid_unknown_fields=True):
        """An order with a gift."""

        gift: Annotated[str, msgspec.Meta(examples=["ribbon"])]

    contract = msgspec.structs.replace(place_order.handler.contract, body=WithGift)
    monkeypatch.setattr(place_order.handler, "contract", contract)
    monkeypatch.setattr(review, "left", lambda revision: "0123456789")
    monkeypatch.setattr(review, "unpack", lambda commit, base: base.symlink_to(PROJECT))
    monkeypatch.setattr(review, "_synthesize", lambda tree, out, stage: put(shop, out / stage))
    comment, fine = review.compare("main", "prod")
    assert not fine
    assert "❌ `POST /orders` body $.gift is new and required" in comment
    # The API of the code differs from the tree's document.
    assert kept(PROJECT) != review.current(shop)


def put(assembly: Assembly, directory: Path) -> None:
    directory.parent.mkdir(parents=True)
    directory.symlink_to(assembly.directory)


def test_an_api_that_cannot_be_documented_is_an_error_with_its_reason(
    templates: Mapping[str, Assembly], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wordless(msgspec.Struct):
        gift: str

    contract = msgspec.structs.replace(place_order.handler.contract, body=Wordless)
    monkeypatch.setattr(place_order.handler, "contract", contract)
    with pytest.raises(ReviewError, match="the API of this tree cannot be documented: "):
        review.current(templates["prod"])


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two commits on `main`, and one on a branch from the first of them."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setattr(review, "PROJECT", project)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Nobody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "nobody@example.com")
    git = ["git", "-C", str(project)]
    for command in (
        ["init", "-q", "-b", "main"],
        ["commit", "-q", "--allow-empty", "-m", "first"],
        ["tag", "left"],
        ["commit", "-q", "--allow-empty", "-m", "second"],
        ["checkout", "-q", "-b", "branch", "left"],
    ):
        subprocess.run([*git, *command], check=True)
    (project / "file").write_text("committed")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "third"], check=True)
    return project


def test_the_base_is_the_commit_where_the_branch_starts(repository: Path) -> None:
    assert review.left("main") == review.left("left")


def test_the_exact_base_is_the_commit_itself_even_if_the_branch_left_before_it(
    repository: Path,
) -> None:
    assert review.commit_of("main") != review.left("main")


def test_a_base_that_does_not_exist_is_named(repository: Path) -> None:
    with pytest.raises(ReviewError, match="no revision 'mian' here: name a branch, tag or commit"):
        review.left("mian")


def test_unpacking_the_base_leaves_nothing_in_the_repository(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "file").write_text("changed")
    (repository / ".build").mkdir()
    review.unpack("HEAD", tmp_path / "base")
    assert (tmp_path / "base" / "file").read_text() == "committed"
    assert (tmp_path / "base" / ".build").resolve() == repository / ".build"
    listed = subprocess.run(
        ["git", "-C", str(repository), "worktree", "list"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert len(listed.stdout.splitlines()) == 1
