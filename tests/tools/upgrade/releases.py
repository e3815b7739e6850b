"""Other releases of the application: its cloud assembly with a few changed lines."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

Replacements = Mapping[str, Mapping[str, str]]
"""For each file of a context's package, new texts by old ones."""


def release(
    assembly: Path,
    directory: Path,
    context: str,
    *,
    code: Replacements,
    template: Mapping[str, str] | None = None,
) -> Path:
    """Copies an assembly, and changes the package and the template of one context.

    The package gets another asset key, so that CloudFormation updates its functions, and each of
    these another version, as the CDK library gives them. Each old text has to be there.
    """
    out = directory / "assembly"
    shutil.copytree(assembly, out)
    manifest, stack = (out / f"{context}.{kind}.json" for kind in ("assets", "template"))
    described = json.loads(manifest.read_bytes())
    marker = f"function-{context.lower()}-"
    (key,) = (k for k, each in described["files"].items() if marker in each["source"]["path"])
    package = directory / "package"
    shutil.copytree(described["files"][key]["source"]["path"], package)
    for file, changes in code.items():
        _replace(package / "lambdas" / file, changes)
    described["files"][key]["source"]["path"] = str(package)
    manifest.write_text(json.dumps(described).replace(f"{key}.zip", f"changed-{key}.zip"))
    _replace(stack, {f"{key}.zip": f"changed-{key}.zip", **(template or {})})
    _rename_versions(stack, f"changed-{key}.zip", str(code))
    return out


def _rename_versions(file: Path, package: str, change: str) -> None:
    """Gives all functions of a package, in which something has changed, another version."""
    resources = json.loads(file.read_bytes())["Resources"]
    for logical_id, resource in resources.items():
        if resource["Type"] == "AWS::Lambda::Version":
            function = resources[resource["Properties"]["FunctionName"]["Ref"]]
            if function["Properties"]["Code"].get("S3Key") == package:
                digest = hashlib.md5((logical_id + change).encode(), usedforsecurity=False)
                _replace(file, {logical_id: logical_id[:-32] + digest.hexdigest()})


def _replace(file: Path, changes: Mapping[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, f"{file} has no {old!r}"
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


def at_once(assembly: Path, context: str) -> None:
    """Lets a context of an assembly shift all at once, without alarms, as in an emergency."""
    file = assembly / f"{context}.template.json"
    template = json.loads(file.read_bytes())
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::CodeDeploy::DeploymentGroup":
            properties["DeploymentConfigName"] = "CodeDeployDefault.LambdaAllAtOnce"
            del properties["AlarmConfiguration"]
        elif resource["Type"] == "AWS::StepFunctions::StateMachineAlias":
            version = properties["DeploymentPreference"]["StateMachineVersionArn"]
            properties["DeploymentPreference"] = {
                "StateMachineVersionArn": version,
                "Type": "ALL_AT_ONCE",
            }
    file.write_text(json.dumps(template))
