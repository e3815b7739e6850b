"""Deployment packages have the right content, are compiled, and are reproducible."""

import ast
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stacks.constructs.packaging import (
    AWS_SERVICES,
    PackagingError,
    Target,
    contexts,
    function_directory,
    install,
    layer_directory,
)
from workspace.isolation import PROJECT

REGIONS = ("eu-central-1", "us-east-1", "us-gov-west-1", "cn-north-1")

# https://github.com/python/cpython/blob/3.14/Include/internal/pycore_magic_number.h
MAGIC_OF_3_14 = (3627).to_bytes(2, "little") + b"\r\n"
UNCHECKED_HASH = (1).to_bytes(4, "little")


def lay_out(root: Path) -> Path:
    """A project with two contexts; `sales` imports the events of `stock`, and `audit` nothing."""
    files = {
        "__init__.py": "",
        "eventing/__init__.py": "",
        "eventing/event.py": "class Event: ...\n",
        "shared/__init__.py": "",
        "shared/words.py": "LIMIT = 1\n",
        "stock/__init__.py": "",
        "stock/events.py": "from lambdas.eventing.event import Event\nclass Taken(Event): ...\n",
        "stock/domain.py": "SECRET = 1\n",
        "sales/__init__.py": "",
        "sales/events.py": "class Sold: ...\n",
        "sales/sell.py": "from lambdas.shared.words import LIMIT\n"
        "from lambdas.stock import events\nfrom ..eventing.event import Event\n",
        "audit/__init__.py": "",
        "audit/note.py": "def handler(event, context): return 'noted'\n",
    }
    for name, text in files.items():
        file = root / "lambdas" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that a test may change."""
    return lay_out(tmp_path)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project and its package of `sales` for Lambda, built once: the compiler starts slowly."""
    project = lay_out(tmp_path_factory.mktemp("project"))
    return project, function_directory("sales", Target.LAMBDA, project=project)


def sources(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*.py")}


def names(project: Path) -> dict[str, str]:
    return {
        context: function_directory(context, Target.HOST, project=project).name
        for context in ("audit", "sales", "stock")
    }


def test_a_package_holds_its_context_the_kernel_and_imported_events(project: Path) -> None:
    package = function_directory("sales", Target.HOST, project=project)

    assert sources(package) == {
        "lambdas/__init__.py",
        "lambdas/eventing/__init__.py",
        "lambdas/eventing/event.py",
        "lambdas/sales/__init__.py",
        "lambdas/sales/events.py",
        "lambdas/sales/sell.py",
        "lambdas/shared/__init__.py",
        "lambdas/shared/words.py",
        "lambdas/stock/__init__.py",
        "lambdas/stock/events.py",
    }


def test_the_shared_vocabulary_is_in_each_package_and_is_no_context(project: Path) -> None:
    assert contexts(project=project) == ["audit", "sales", "stock"]
    before = names(project)
    (project / "lambdas/shared/words.py").write_text("LIMIT = 2\n")
    after = names(project)

    assert all(before[context] != after[context] for context in before)


def test_a_change_in_one_context_does_not_change_the_packages_of_others(project: Path) -> None:
    before = names(project)
    (project / "lambdas/stock/domain.py").write_text("SECRET = 2\n")
    after = names(project)

    assert {context for context in before if before[context] != after[context]} == {"stock"}


def test_a_change_of_an_event_changes_the_packages_of_contexts_that_import_it(
    project: Path,
) -> None:
    before = names(project)
    (project / "lambdas/stock/events.py").write_text("class Taken: ...\n")
    after = names(project)

    assert {context for context in before if before[context] != after[context]} == {
        "sales",
        "stock",
    }


def test_modification_times_editor_backups_and_caches_do_not_change_a_package(
    project: Path,
) -> None:
    before = names(project)
    os.utime(project / "lambdas/stock/domain.py", (0, 0))
    (project / "lambdas/stock/domain.py~").write_text("an editor's copy")
    (project / "lambdas/stock/.domain.py.swp").write_text("another's")
    (project / "lambdas/stock/__pycache__").mkdir()
    (project / "lambdas/stock/__pycache__/domain.cpython-311.pyc").write_text("a cache")

    assert names(project) == before


@pytest.mark.parametrize(
    "statement",
    [
        "from lambdas.stock.domain import SECRET",
        "from lambdas.stock import domain",
        "from ..stock.domain import SECRET",
        "import lambdas.stock.domain",
        "from lambdas import stock",
    ],
)
def test_an_import_of_internals_of_another_context_is_an_error_with_its_line(
    project: Path, statement: str
) -> None:
    (project / "lambdas/sales/sell.py").write_text(f'"""Sell."""\n\n{statement}\n')

    with pytest.raises(PackagingError, match=r"lambdas/sales/sell.py:3 imports lambdas\.stock"):
        function_directory("sales", Target.HOST, project=project)


def test_an_unknown_context_is_an_error_that_lists_the_known_ones(project: Path) -> None:
    with pytest.raises(PackagingError, match=r"no context 'sale' in .*: there are audit, sales"):
        function_directory("sale", Target.HOST, project=project)


def test_code_that_does_not_compile_is_an_error_with_its_line(project: Path) -> None:
    (project / "lambdas/audit/note.py").write_text("def handler(:\n")

    with pytest.raises(PackagingError, match=r"lambdas/audit/note\.py:1"):
        function_directory("audit", Target.HOST, project=project)
    assert not list(project.glob(".build/function-audit-*"))


def test_packages_built_at_the_same_time_do_not_disturb_each_other(project: Path) -> None:
    def build(_: int) -> Path:
        return function_directory("sales", Target.HOST, project=project)

    with ThreadPoolExecutor(4) as pool:
        packages = set(pool.map(build, range(4)))

    assert len(packages) == 1
    assert "lambdas/sales/sell.py" in sources(packages.pop())
    assert not list(project.glob(".build/unfinished-*"))


def test_packaged_bytecode_is_used_even_if_its_source_is_newer(
    project: Path,
) -> None:
    package = function_directory("audit", Target.HOST, project=project)
    # If Python read the source, the handler would return something else.
    (package / "lambdas/audit/note.py").write_text("def handler(event, context): return 'new'\n")
    code = f"import sys; sys.path.insert(0, {str(package)!r})\n"
    code += "from lambdas.audit.note import handler; print(handler({}, None))"

    said = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )

    assert said.stdout == "noted\n"


def test_bytecode_for_lambda_has_its_python_version_and_its_paths(
    shipped: tuple[Path, Path],
) -> None:
    _, package = shipped

    compiled = {path.parent.parent / path.name: path for path in package.rglob("*.pyc")}
    assert {path.relative_to(package).as_posix() for path in compiled} == {
        source.replace(".py", ".cpython-314.pyc") for source in sources(package)
    }
    for path in compiled.values():
        code = path.read_bytes()
        assert code[:8] == MAGIC_OF_3_14 + UNCHECKED_HASH
        assert str(package).encode() not in code
    sell = package / "lambdas/sales/__pycache__/sell.cpython-314.pyc"
    assert b"/var/task/lambdas/sales/sell.py" in sell.read_bytes()


def test_the_same_sources_give_the_same_bytes_in_another_folder(
    shipped: tuple[Path, Path], tmp_path: Path
) -> None:
    project, first = shipped
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "lambdas").parent.mkdir()
    for path in sorted((project / "lambdas").rglob("*.py"), reverse=True):
        copy = elsewhere / path.relative_to(project)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    # This project compiles one package only; the first one compiled all at once.
    (elsewhere / "lambdas/audit/__init__.py").unlink()
    second = function_directory("sales", Target.LAMBDA, project=elsewhere)

    assert first.name == second.name
    assert digest(first) == digest(second)


def digest(directory: Path) -> str:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    parts = [f"{path.relative_to(directory)}".encode() + path.read_bytes() for path in files]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def test_the_layer_for_lambda_is_compiled_for_its_architecture_and_python_version() -> None:
    site = layer_directory(Target.LAMBDA) / "python"

    libraries = [path.name for path in site.rglob("*.so")]
    assert libraries == ["_core.cpython-314-aarch64-linux-gnu.so"]
    sources_without_bytecode = [
        path
        for path in site.rglob("*.py")
        if not (path.parent / "__pycache__" / f"{path.stem}.cpython-314.pyc").is_file()
    ]
    assert sources_without_bytecode == []


def clients_called(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in {"client", "resource"}:
                yield node.args[0]


def test_the_layer_holds_the_data_of_exactly_the_services_that_handlers_call() -> None:
    called = set[str]()
    for path in PROJECT.glob("lambdas/**/*.py"):
        for service in clients_called(ast.parse(path.read_bytes())):
            if isinstance(service, ast.Constant):
                called.add(str(service.value))
            else:
                # Only the kernel's own function may take the service from an argument.
                assert path == PROJECT / "lambdas/eventing/aws.py", f"{path}:{service.lineno}"

    assert called == set(AWS_SERVICES)
    data = layer_directory(Target.HOST) / "python/botocore/data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == called


ENDPOINTS = """
import json, sys
sys.path[:0] = sys.argv[3:]
from botocore.session import Session
session = Session()
secrets = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
found = {}
for service in sys.argv[1].split():
    found[service] = session.get_available_regions(service)
    for region in sys.argv[2].split():
        client = session.create_client(service, region, **secrets)
        signed_for = client._request_signer.region_name
        found[f"{service} {region}"] = [client.meta.endpoint_url, signed_for]
print(json.dumps(found))
"""


def test_clients_of_the_pruned_layer_have_the_endpoints_of_the_full_library() -> None:
    def endpoints(*arguments: str) -> dict[str, list[str]]:
        command = [sys.executable, *arguments[1:], "-c", ENDPOINTS]
        command += [" ".join(AWS_SERVICES), " ".join(REGIONS), arguments[0]]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={})
        found: dict[str, list[str]] = json.loads(done.stdout)
        return found

    pruned = endpoints(str(layer_directory(Target.HOST) / "python"), "-I", "-S")
    whole = endpoints("")

    assert len(pruned) == len(AWS_SERVICES) * (1 + len(REGIONS))
    assert pruned == whole


def test_a_dependency_that_cannot_be_downloaded_is_an_error_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"absent==1.0 --hash=sha256:{'0' * 64}\n")

    with pytest.raises(PackagingError, match=r"absent(.|\n)*Check the network"):
        install(requirements, tmp_path / "site", Target.HOST)


def test_a_dependency_that_does_not_match_its_hash_is_an_error_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "forged-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("forged.py", "")
        wheel.writestr("forged-1.0.dist-info/METADATA", "Name: forged\nVersion: 1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"forged==1.0 --hash=sha256:{'0' * 64}\n")

    with pytest.raises(PackagingError, match=r"forged(.|\n)*run `make lock`"):
        install(requirements, tmp_path / "site", Target.HOST)
