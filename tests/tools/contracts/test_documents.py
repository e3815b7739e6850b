"""The committed documents match the event classes and templates."""

import json
from pathlib import Path

import pytest

from cdk_rehearsal import Assembly
from tests.conftest import STAGES
from tests.support.assemblies import assembly_directory
from tools.contracts import acknowledgements, documents
from tools.contracts.acknowledgements import FILE
from tools.contracts.documents import DIRECTORY, DOCUMENTS, complaints, outdated


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_documents_are_up_to_date_and_equal_for_all_stages(
    templates: dict[str, Assembly], stage: str
) -> None:
    broken = complaints(documents.documents(templates[stage]))
    assert not broken, "\n".join(broken)
    old = outdated(templates[stage])
    assert not old, f"docs/{', docs/'.join(old)} out of date: run `make generated`"


@pytest.fixture(scope="module")
def templates(shared_directory: Path) -> dict[str, Assembly]:
    """The documents are those of the stage's own kind of bus."""
    return {stage: Assembly(assembly_directory(stage, shared_directory)) for stage in STAGES}


@pytest.fixture(scope="module")
def assembly(shared_directory: Path) -> Path:
    """Stage `dev` on its own kind of bus."""
    return assembly_directory("dev", shared_directory)


def test_a_document_that_is_out_of_date_or_missing_is_named(
    templates: dict[str, Assembly], tmp_path: Path
) -> None:
    first, *others = DOCUMENTS
    (tmp_path / first).write_text((DIRECTORY / first).read_text().replace("Orderflow", "Other"))
    assert outdated(templates["dev"], tmp_path) == [first, *others]


class Command:
    """`make generated` in a temporary directory, whose API document has one more field."""

    def __init__(self, assembly: Path, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = documents.documents(Assembly(assembly))
        self.docs = docs / "docs"
        self.docs.mkdir()
        self.kept = (
            (DIRECTORY / "openapi.json")
            .read_text()
            .replace('"tracking_id"', '"parcel"')
            .replace('"tracking_code"', '"code_of_the_parcel"')
        )
        (self.docs / "openapi.json").write_text(self.kept)
        (self.docs / "asyncapi.json").write_text("{}")
        monkeypatch.setattr("sys.argv", ["documents", str(assembly)])
        monkeypatch.setattr(documents, "PROJECT", docs)
        monkeypatch.setattr(documents, "DIRECTORY", self.docs)
        monkeypatch.setattr(documents, "version", lambda: "0.1.0")
        spec = type("Spec", (), {"name": "documents"})
        monkeypatch.setattr(documents, "__spec__", spec, raising=False)

    def acknowledge(self, *routes: str) -> None:
        text = acknowledgements.how_to({"breaking": routes}).replace("…", "Nobody reads it.")
        (self.docs.parent / FILE).write_text(text)

    def written(self, name: str = "openapi.json") -> bool:
        return (self.docs / name).read_text() == self.made[name]


ROUTES = (
    "DELETE /orders/{order_id}",
    "GET /orders",
    "GET /orders/{order_id}",
    "POST /carrier/events",
    "POST /orders",
)


@pytest.fixture
def command(assembly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(assembly, tmp_path, monkeypatch)


def test_a_breaking_api_does_not_overwrite_the_document(command: Command) -> None:
    with pytest.raises(SystemExit) as refused:
        documents.main()
    message = str(refused.value)
    assert (command.docs / "openapi.json").read_text() == command.kept
    assert command.written("asyncapi.json")
    assert "GET /orders/{order_id} has changed in a way that breaks its clients:" in message
    breaks = "breaks clients that"
    assert f"$.history[].parcel is renamed to tracking_id: {breaks} read as before" in message
    renamed = "code_of_the_parcel is renamed to tracking_code"
    assert f"body $.result.{renamed}: {breaks} send as before" in message
    assert 'path = "POST /carrier/events"' in message
    page = message.partition("See ")[2].partition(". If")[0]
    assert (DIRECTORY.parent / page).is_file()


def test_the_api_is_written_when_every_breaking_route_is_acknowledged(command: Command) -> None:
    command.acknowledge(*ROUTES[1:])
    with pytest.raises(SystemExit) as refused:
        documents.main()
    assert str(refused.value).count("in a way that breaks its clients") == 1
    assert str(refused.value).startswith(ROUTES[0])
    command.acknowledge(*ROUTES)
    documents.main()
    assert command.written()


def test_an_api_with_additions_is_written_without_a_message(command: Command) -> None:
    less = json.loads((DIRECTORY / "openapi.json").read_bytes())
    del less["paths"]["/sales"]
    del less["components"]["schemas"]["StepView"]["properties"]["tracking_id"]
    (command.docs / "openapi.json").write_text(json.dumps(less))
    documents.main()
    assert command.written()


def test_an_api_without_an_earlier_document_is_written(command: Command) -> None:
    (command.docs / "openapi.json").unlink()
    documents.main()
    assert command.written()


def test_an_invalid_acknowledgement_stops_the_command(command: Command) -> None:
    (command.docs.parent / FILE).write_text("[[breaking]]\n")
    with pytest.raises(SystemExit, match=r"acknowledged-changes\.toml: "):
        documents.main()
    assert (command.docs / "openapi.json").read_text() == command.kept


def test_the_command_names_a_folder_without_an_assembly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["documents", str(tmp_path)])
    monkeypatch.setattr(
        documents, "__spec__", type("Spec", (), {"name": "documents"}), raising=False
    )
    with pytest.raises(SystemExit, match="holds no cloud assembly: run `make synth`"):
        documents.main()
