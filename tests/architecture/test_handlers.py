"""Deployed handlers start from package and layer, with few modules and without side effects."""

import json
import subprocess
import sys
from pathlib import Path

from cdk_rehearsal import Assembly
from tools.bench.measure import MODULES_REACHED, handler_modules
from tools.bench.modules import deployed_handlers, loaded_modules
from workspace.isolation import PROJECT

HERE = Path(__file__).parent
HANDLERS = list(handler_modules())


def test_each_handler_is_deployed_and_each_function_has_a_handler(assembly: Path) -> None:
    assert {module for module, _, _ in deployed_handlers(Assembly(assembly))} == set(HANDLERS)


def test_handlers_start_from_package_and_layer_alone_and_stay_within_their_module_limit(
    assembly: Path,
) -> None:
    modules = loaded_modules(Assembly(assembly))

    assert modules.keys() == set(HANDLERS)
    assert {name: n for name, n in modules.items() if n.all > MODULES_REACHED} == {}


def run(script: str, *arguments: str) -> str:
    """The output of a script in this folder, run in its own interpreter."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def watch(root: Path, *modules: str) -> list[str]:
    found: list[str] = json.loads(run("watch_imports.py", str(root), *modules))
    return found


def test_importing_handlers_creates_no_client_and_reads_no_environment() -> None:
    assert watch(PROJECT, *HANDLERS) == []


def test_an_import_with_side_effects_is_found(tmp_path: Path) -> None:
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
    assert "lambdas.orders.impure:5 creates a client for dynamodb" in found
