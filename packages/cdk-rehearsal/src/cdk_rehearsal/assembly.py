"""Reads a cloud assembly: the manifest, the stacks' templates and the files of their assets."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdk_rehearsal.errors import RehearsalError

# Artifacts that say nothing of what is deployed.
_OTHER_ARTIFACTS = {
    "cdk:tree",
    "cdk:feature-flag-report",
    "aws:cdk:feature-flag-report",
    "aws:cdk:validation-report",
    "cdk:validation-report",
    "none",
}


@dataclass(frozen=True)
class Stack:
    """One synthesized stack: its construct path, its name in CloudFormation, its template."""

    display_name: str
    name: str
    account: str | None
    region: str | None
    template: dict[str, Any]
    parameters: dict[str, str]

    @property
    def id(self) -> str:
        """The stack's own construct id, without the stage that it is in."""
        return self.display_name.rsplit("/", 1)[-1]

    def path_of(self, logical_id: str) -> str:
        """Return the construct path of a resource, from the stack's id on.

        The last part is left out where CDK itself hides it (``Resource``). Without metadata in
        the template the path is the stack's id and the logical id.
        """
        metadata = self.template["Resources"][logical_id].get("Metadata", {})
        path = str(metadata.get("aws:cdk:path", ""))
        if not path.startswith(self.display_name + "/"):
            return f"{self.id}/{logical_id}"
        inner = path[len(self.display_name) + 1 :].removesuffix("/Resource")
        return f"{self.id}/{inner}"


@dataclass
class Assembly:
    """A cloud assembly: all of its stacks, and where the files of each asset are."""

    directory: Path
    stacks: list[Stack] = field(default_factory=list)
    _assets: dict[str, Path] = field(default_factory=dict)
    _extracted: Path | None = None

    @classmethod
    def read(cls, directory: Path) -> Assembly:
        """Read the assembly that ``cdk synth`` wrote to ``directory``.

        Raises RehearsalError if there is none, or if it has an artifact of an unknown kind.
        Kinds of artifacts: https://docs.aws.amazon.com/cdk/v2/guide/deploy.html
        """
        assembly = cls(directory)
        assembly._read_manifest(directory)
        if not assembly.stacks:
            raise RehearsalError(f"{directory / 'manifest.json'} lists no stack")
        return assembly

    def asset_directory(self, object_key: str) -> Path:
        """Return the directory with the files of the asset that is uploaded as ``object_key``."""
        source = self._assets.get(object_key)
        if source is None or not source.exists():
            raise RehearsalError(
                f"the assembly {self.directory} has no asset {object_key}; synthesize it again"
            )
        if source.is_dir():
            return source
        if not zipfile.is_zipfile(source):
            raise RehearsalError(f"the asset {source} is neither a directory nor a zip file")
        if self._extracted is None:
            self._extracted = Path(tempfile.mkdtemp(prefix="rehearsal-assets-"))
        target = self._extracted / source.stem
        if not target.exists():
            with zipfile.ZipFile(source) as archive:
                archive.extractall(target)
        return target

    def close(self) -> None:
        """Remove what was unpacked from zip files."""
        if self._extracted is not None:
            shutil.rmtree(self._extracted, ignore_errors=True)

    def _read_manifest(self, directory: Path) -> None:
        manifest = _read_json(directory / "manifest.json")
        for name, artifact in manifest.get("artifacts", {}).items():
            kind = artifact["type"]
            properties = artifact.get("properties", {})
            if kind == "aws:cloudformation:stack":
                self.stacks.append(_stack(directory, name, artifact))
            elif kind == "cdk:asset-manifest":
                self._read_assets(directory, properties["file"])
            elif kind == "cdk:cloud-assembly":
                self._read_manifest(directory / properties["directoryName"])
            elif kind not in _OTHER_ARTIFACTS:
                raise RehearsalError(
                    f"{directory / 'manifest.json'}: artifact {name} is of the unknown type {kind}"
                )

    def _read_assets(self, directory: Path, file: str) -> None:
        for asset in _read_json(directory / file).get("files", {}).values():
            source = asset["source"]
            if "path" not in source:
                continue
            for destination in asset["destinations"].values():
                self._assets[destination["objectKey"]] = directory / source["path"]


def _stack(directory: Path, name: str, artifact: dict[str, Any]) -> Stack:
    properties = artifact["properties"]
    account, region = artifact["environment"].removeprefix("aws://").split("/")
    return Stack(
        display_name=artifact.get("displayName", name),
        name=properties.get("stackName", name),
        account=None if account.startswith("unknown") else account,
        region=None if region.startswith("unknown") else region,
        template=_read_json(directory / properties["templateFile"]),
        parameters=properties.get("parameters", {}),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RehearsalError(
            f"{path} is missing: is this a cloud assembly? Synthesize it"
        ) from None
    except ValueError as error:
        raise RehearsalError(f"{path} is not JSON: {error}; synthesize it again") from error
    return content
