"""The public modules: their names, and what importing them loads."""

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import cdk_rehearsal
from cdk_rehearsal import Assembly, topology
from topology.post import post, properties


@pytest.mark.parametrize("package", [cdk_rehearsal, topology])
def test_public_names_are_no_modules_even_if_all_modules_are_imported(package: object) -> None:
    module = importlib.import_module(str(vars(package)["__name__"]))
    modules = {each.name for each in pkgutil.iter_modules(module.__path__)}
    assert modules.isdisjoint(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert len(module.__all__) == len(set(module.__all__))


def test_findings_are_plain_json() -> None:
    before, after = post(), post()
    properties(before, "Letters")["VisibilityTimeout"] = 60
    properties(before, "Parcels")["TableName"] = "parcels"
    before["Post"]["Resources"]["Parcels"]["DeletionPolicy"] = "Retain"
    assembly = Assembly(before)
    for found in (
        topology.edges(assembly),
        topology.losses(assembly),
        topology.leftovers(assembly),
    ):
        assert json.loads(json.dumps([each.as_json() for each in found]))
    (loss,) = topology.losses(assembly)
    assert loss.as_json() == {
        "rule": "VisibilityTimeout",
        "path": "Post/Letters",
        "says": loss.says,
        "fix": loss.fix,
        "severity": "medium",
        "ends": "",
    }
    comparison = topology.compare_assemblies(assembly, Assembly(after)).as_json()
    assert json.loads(json.dumps(comparison)) == comparison
    (replaced,) = comparison["blocking"]["replacement"]
    assert replaced["path"] == "Post/Parcels"
    assert comparison["sections"]["Retention"]


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        cdk_rehearsal.Nothing  # noqa: B018


def test_checks_load_neither_moto_nor_boto3() -> None:
    code = """
import sys
from cdk_rehearsal import Assembly, topology
from cdk_rehearsal.validation import Durability
topology.losses(Assembly({"Post": {"Resources": {}}}))
print(sorted({"moto", "boto3", "botocore", "cfnlint", "jsonschema"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
