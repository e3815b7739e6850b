"""The committed documents are as classes and templates want them."""

from pathlib import Path

import pytest

from contracts import documents
from contracts.documents import DIRECTORY, DOCUMENTS, outdated
from topology.assembly import Assembly


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_documents_are_up_to_date_and_the_same_for_all_stages(
    templates: dict[str, Assembly], stage: str
) -> None:
    assert outdated(templates[stage]) == [], "run `make documents`"


def test_a_document_that_is_out_of_date_or_missing_is_named(
    templates: dict[str, Assembly], tmp_path: Path
) -> None:
    first, *others = DOCUMENTS
    (tmp_path / first).write_text((DIRECTORY / first).read_text().replace("Orderflow", "Other"))
    assert outdated(templates["dev"], tmp_path) == [first, *others]


def test_the_command_says_where_there_is_no_assembly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["documents", str(tmp_path)])
    monkeypatch.setattr(
        documents, "__spec__", type("Spec", (), {"name": "documents"}), raising=False
    )
    with pytest.raises(SystemExit, match="holds no cloud assembly: run `make synth`"):
        documents.main()
