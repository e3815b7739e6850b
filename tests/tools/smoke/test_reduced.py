"""The copy of a cloud assembly for an emulator that does not know each type of resource."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from tools.smoke.reduced import NotReducible, reduce

BUDGET, MATHS = "AWS::Budgets::Budget", "AWS::CloudWatch::Alarm.Metrics"


def test_a_copy_has_all_resources_but_the_unknown_ones(assembly: Path, tmp_path: Path) -> None:
    left_out = reduce(assembly, tmp_path / "copy", [BUDGET, MATHS])

    kept: set[str] = set()
    for path in (tmp_path / "copy").glob("*.template.json"):
        before = json.loads((assembly / path.name).read_text())["Resources"]
        after = json.loads(path.read_text())["Resources"]
        kept |= after.keys()
        assert before.keys() - after.keys() <= {each for ids in left_out.values() for each in ids}
        assert BUDGET not in {resource["Type"] for resource in after.values()}
        assert not [
            logical_id
            for logical_id, resource in after.items()
            if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
        ]
    assert all(left_out.values())
    assert kept.isdisjoint({each for ids in left_out.values() for each in ids})


def test_a_changed_template_is_uploaded_under_a_name_of_its_own(
    assembly: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    reduce(assembly, copy, [BUDGET])

    digest = sha256((copy / "Operations.template.json").read_bytes()).hexdigest()
    files = json.loads((copy / "Operations.assets.json").read_text())["files"]
    stacks = json.loads((copy / "manifest.json").read_text())["artifacts"]
    assert files[digest]["source"]["path"] == "Operations.template.json"
    url = stacks["Operations"]["properties"]["stackTemplateAssetObjectUrl"]
    assert url.endswith(f"/{digest}.json")


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        ("AWS::SQS::Queue", "used by other resources"),
        ("AWS::SQS::Tail", "no template has AWS::SQS::Tail"),
    ],
)
def test_what_cannot_be_left_out_is_an_error_and_leaves_no_copy(
    assembly: Path, tmp_path: Path, unknown: str, said: str
) -> None:
    with pytest.raises(NotReducible, match=said):
        reduce(assembly, tmp_path / "copy", [unknown])

    assert not (tmp_path / "copy").exists()
