"""The bill of materials of the Lambda layer."""

import re

import pytest

from tools.sbom import LOCK, bill_of_materials


def test_it_lists_each_distribution_of_the_lock_file_with_its_version() -> None:
    lock = LOCK.read_text()
    pinned = [line.split(" ")[0] for line in lock.splitlines() if "==" in line and line[0] != "#"]
    components = bill_of_materials(lock)["components"]
    assert [f"{each['name']}=={each['version']}" for each in components] == pinned
    assert {"boto3", "msgspec"} <= {each["name"] for each in components}


def test_package_urls_have_normalized_names() -> None:
    (component,) = bill_of_materials("Some_Thing.Else==1.0 \\\n    --hash=sha256:00\n")[
        "components"
    ]
    assert component["purl"] == "pkg:pypi/some-thing-else@1.0"


@pytest.mark.parametrize("line", ["boto3>=1.43", "./local", "git+https://host.example/x"])
def test_a_line_without_a_version_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(line)):
        bill_of_materials(f"msgspec==0.20.0\n{line}\n")
