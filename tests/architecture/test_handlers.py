"""Handlers as they are deployed: they start from their package and layer, lightly and purely."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.measure import MODULES_REACHED, Subject, cold_start, handler_modules
from stacks.constructs.packaging import PROJECT
from topology.assembly import Assembly

WATCH = Path(__file__).with_name("watch_imports.py")
HANDLERS = list(handler_modules())


def deployed(assembly: Assembly, module: str) -> Iterator[Subject]:
    """The functions of the templates whose handler is in `module`, with their own assets."""
    for function in assembly.of_type("AWS::Lambda::Function"):
        if function.properties["Handler"] != f"{module}.handler":
            continue
        resources = [
            function,
            *(assembly.referred(function.stack, layer) for layer in function.properties["Layers"]),
        ]
        code, *layers = (
            assembly.directory / resource.definition["Metadata"]["aws:asset:path"]
            for resource in resources
        )
        paths = (code, *(layer / "python" for layer in layers))
        yield Subject(name=f"{function}", module=module, paths=paths)


def test_each_handler_is_deployed_and_each_function_has_a_handler(assembly: Path) -> None:
    functions = Assembly(assembly).of_type("AWS::Lambda::Function")

    assert {function.properties["Handler"] for function in functions} == {
        f"{module}.handler" for module in HANDLERS
    }


@pytest.mark.parametrize("module", HANDLERS)
def test_handler_starts_from_its_package_and_layer_alone_with_no_more_modules_than_now(
    assembly: Path, module: str
) -> None:
    subjects = list(deployed(Assembly(assembly), module))

    assert subjects
    for subject in subjects:
        assert cold_start(subject).modules <= MODULES_REACHED, subject.name


def watch(root: Path, *modules: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(WATCH), str(root), *modules],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


def test_importing_handlers_makes_no_client_and_reads_no_environment() -> None:
    assert watch(PROJECT, *HANDLERS) == []


def test_handler_that_is_not_pure_is_found_out(tmp_path: Path) -> None:
    impure = tmp_path / "lambdas" / "orders" / "impure.py"
    impure.parent.mkdir(parents=True)
    impure.write_text(
        "import os\n"
        "import boto3\n"
        "REGION = os.environ.get('AWS_REGION')\n"
        "STAGE = os.getenv('STAGE')\n"
        "TABLE = boto3.client('dynamodb', region_name='eu-central-1')\n"
    )

    found = watch(tmp_path, "lambdas.orders.impure")

    assert "lambdas.orders.impure:3 reads AWS_REGION from the environment" in found
    assert "lambdas.orders.impure:4 reads STAGE from the environment" in found
    assert "lambdas.orders.impure:5 makes a client of dynamodb" in found
