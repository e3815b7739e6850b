"""The CDK library, its settings and its command line fit together."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

from stacks.constructs.packaging import Target, node, prepare
from tests.support.environments import environment_of, locked_in
from workspace.isolation import HOME, PROJECT

# Where cdk.json differs from what the library recommends, and why.
OWN_CHOICES = {
    # CloudFormation does not delete an export that another stack imports.
    "@aws-cdk/core:defaultCrossStackReferences": "strong",
    # The app reports no usage data.
    "@aws-cdk/core:enableAdditionalMetadataCollection": False,
}


def test_cdk_json_has_each_feature_flag_that_the_library_recommends() -> None:
    package = find_spec("aws_cdk")  # importing it starts Node.js
    assert package
    assert package.origin
    (bundle,) = (Path(package.origin).parent / "_jsii").glob("aws-cdk-lib@*.tgz")
    with tarfile.open(bundle) as library:
        flags = library.extractfile("package/recommended-feature-flags.json")
        assert flags
        recommended = json.load(flags)
    context = json.loads((PROJECT / "cdk.json").read_bytes())["context"]
    chosen = {name: value for name, value in context.items() if name.startswith("@aws-cdk")}

    assert chosen == {**recommended, **OWN_CHOICES}


def test_commands_about_assemblies_and_stages_start_no_node() -> None:
    """Importing the CDK library starts Node.js, and with it a process for each test worker."""
    commands = [
        *("tools.capacity.__main__", "tools.catalogue.__main__", "tools.cost.__main__"),
        *("tools.demo.cli", "tools.faults.cli", "tools.load.__main__", "tools.load_test.cli"),
        *("tools.permissions.__main__", "tools.smoke.__main__", "tools.upgrade.cli"),
    ]
    program = f"""
import importlib, sys
for name in {["tests.conftest", *commands]}:
    importlib.import_module(name)
    if "aws_cdk" in sys.modules:
        sys.exit(f"{{name}} imports aws_cdk: import it in the functions that need it")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_pinned_command_line_reads_the_assembly_of_the_pinned_library(assembly: Path) -> None:
    path = os.pathsep.join([str(Path(node()).parent), "/usr/bin", "/bin"])
    done = subprocess.run(
        [str(PROJECT / "node_modules/.bin/cdk"), "ls", "--app", str(assembly)],
        cwd=assembly,
        env={"PATH": path, "HOME": str(assembly), "CDK_DISABLE_CLI_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    stacks = {line.partition(" ")[0] for line in done.stdout.splitlines()}
    assert stacks == {path.name.partition(".")[0] for path in assembly.glob("*.template.json")}


def test_cdk_synth_needs_only_an_activated_environment_with_the_requirements(
    tmp_path: Path, assembly: Path
) -> None:
    prepare(Target.LAMBDA)
    clone = tmp_path / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, clone / name)
    # Downloaded by the first synthesis; this test is offline.
    (clone / ".build").mkdir()
    for package in (PROJECT / ".build").glob("*-lambda-*"):
        (clone / ".build" / package.name).symlink_to(package)
    (clone / "node_modules").mkdir()
    (clone / "node_modules" / "pyodide").symlink_to(PROJECT / "node_modules" / "pyodide")
    environment = environment_of(locked_in(clone / "requirements.txt"), tmp_path / "environment")

    done = subprocess.run(
        [str(PROJECT / "node_modules/.bin/cdk"), "synth", "--quiet", "--no-version-reporting"],
        cwd=clone,
        env={
            "PATH": f"{environment / 'bin'}:{Path(node()).parent}:/usr/bin:/bin",
            "VIRTUAL_ENV": str(environment),
            "HOME": str(tmp_path),
            # Unpacking the CDK library takes seconds, so that it is kept from other syntheses.
            "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(HOME / ".cache/aws/jsii/package-cache"),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_VALIDATION": "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    made = {path.name for path in (clone / "cdk.out").glob("*.template.json")}
    assert made == {path.name for path in assembly.glob("*.template.json")}
