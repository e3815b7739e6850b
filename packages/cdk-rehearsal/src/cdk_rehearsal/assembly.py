"""Reads a cloud assembly of any CDK language: its stacks, their resources and the files of assets.

Checks and rehearsals share it. A resource is known by its construct path, as CDK prints it and as
acknowledgements name it: stages and nested stacks are part of the path, and a last part `Resource`
is left out. Without path metadata, it is the path of the stack and the logical id.
"""

import hashlib
import json
import re
import shutil
import tempfile
import uuid
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cdk_rehearsal.errors import RehearsalError
from cdk_rehearsal.settling import Settled

Properties = dict[str, Any]
Template = dict[str, Any]

NESTED_STACK = "AWS::CloudFormation::Stack"

_OTHER_ARTIFACTS = {
    "cdk:tree",
    "cdk:feature-flag-report",
    "aws:cdk:feature-flag-report",
    "aws:cdk:validation-report",
    "cdk:validation-report",
    "none",
}
"""Artifacts that describe nothing that is deployed."""

_PLACEHOLDER = re.compile(r"\$\{([^!}][^}]*)\}")
"""A reference in Fn::Sub: `${!Literal}` is none."""
_QUALIFIER = re.compile(r"^:[\w$-]+(?=\")")
"""The version or alias after the ARN of a function, within a text of JSON."""

_QUALIFIED = frozenset(
    f"AWS::{name}"
    for name in (
        *("Lambda::Alias", "Lambda::Version"),
        *("StepFunctions::StateMachineAlias", "StepFunctions::StateMachineVersion"),
    )
)
"""Types of versions and aliases: each stands for a function or a state machine."""

_ONLY_PLACEHOLDER = re.compile(r"(?:arn:.*)?\$\{(?P<name>[^!}.]+)(?:\.[^}]+)?\}")
_NESTED_STACK_PATH = re.compile(r"\.NestedStack/[^/]+\.NestedStackResource$")


@dataclass(frozen=True, eq=False)
class Stack:
    """A synthesized stack."""

    path: str
    """Its construct path, as in `dev/Orders`: unique in an assembly."""
    name: str
    """Its name in CloudFormation."""
    template: Template = field(repr=False)
    account: str | None = None
    region: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values of parameters; for a nested stack, expressions of its parent."""
    dependencies: frozenset[str] = frozenset()
    """Paths of the stacks that the manifest names as dependencies."""
    parent: str | None = None
    """The path of the stack in which it is nested."""
    file: Path = Path()
    """The file of its template."""

    def arn(self, account: str, region: str) -> str:
        """Returns its id, the value of `AWS::StackId`: its name and a UUID."""
        return stack_arn(account, region, self.name)

    def path_of(self, logical_id: str) -> str:
        """Returns the construct path of a resource."""
        metadata = self.template["Resources"][logical_id].get("Metadata", {})
        path: str = metadata.get("aws:cdk:path", "")
        return path.removesuffix("/Resource") or f"{self.path}/{logical_id}"


def stack_arn(account: str, region: str, name: str) -> str:
    """Returns the id of a stack, given its name."""
    generation = uuid.uuid5(uuid.NAMESPACE_URL, f"{account}/{region}/{name}")
    return f"arn:aws:cloudformation:{region}:{account}:stack/{name}/{generation}"


@dataclass
class Resource:
    """A resource of a template; in a rehearsal, also the resource created from it."""

    stack: str
    """The path of its stack."""
    logical_id: str
    path: str
    type: str
    properties: Properties = field(repr=False)
    """As the template has them, with the defaults of parameters and the conditions that these
    decide; in a rehearsal, with all functions resolved."""
    definition: Mapping[str, Any] = field(repr=False)
    """Its whole definition in the template."""
    stack_name: str = field(repr=False, compare=False)
    """The name of its stack in CloudFormation."""
    physical_id: str = ""
    """In a rehearsal, the value of `Ref`."""
    attributes: dict[str, Any] = field(default_factory=dict, repr=False)
    """In a rehearsal, the values of `Fn::GetAtt`."""
    update_policy: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """In a rehearsal, its UpdatePolicy, with all functions resolved."""
    generation: int = field(default=0, repr=False, compare=False)
    """In a rehearsal, how many resources of its logical id its stack has had before."""

    def __hash__(self) -> int:
        return hash((self.stack, self.logical_id))

    def __str__(self) -> str:
        """The path, which a failed assertion shows."""
        return self.path

    @property
    def where(self) -> str:
        """Its place in the templates: stack, logical id and type."""
        return f"stack {self.stack_name}, {self.logical_id} ({self.type})"

    def generated_name(self, longest: int) -> str:
        """Returns a physical name as CloudFormation makes one: stack, logical id and a suffix.

        A resource that is created again has another one, because the former may be retained.
        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html
        """
        again = f"/{self.generation}" if self.generation else ""
        suffix = _digest(f"{self.stack_name}/{self.logical_id}{again}")
        room = longest - len(suffix) - 2
        stack = self.stack_name[: max(8, room // 2)]
        return f"{stack}-{self.logical_id[: room - len(stack)]}-{suffix}"


class Assembly:
    """The stacks of a cloud assembly, including those of stages and nested stacks."""

    def __init__(
        self, source: Path | Mapping[str, Template], *, only: Collection[Path] | None = None
    ) -> None:
        """Reads the directory that `cdk synth` wrote, or takes templates by the paths of stacks.

        With `only`, reads just these template files, with the stacks nested in them. Raises
        RehearsalError if there is no assembly, or if it has an artifact of an unknown
        kind. https://docs.aws.amazon.com/cdk/v2/guide/deploy.html
        """
        self.directory = source if isinstance(source, Path) else Path()
        self.stacks: list[Stack] = []
        self.applications: dict[str, Path] = {}
        """The directories with stacks, by stage: `.` stands for the stacks outside all stages."""
        self._assets: dict[str, Path] = {}
        self._extracted: Path | None = None
        self._nested: dict[tuple[str, str], Stack] = {}
        if isinstance(source, Path):
            self._read_manifest(source, ".", only)
            if not self.stacks:
                raise RehearsalError(
                    f"{source / 'manifest.json'} lists no stack: add one to the app"
                )
        else:
            self.stacks += [Stack(path, path, template) for path, template in source.items()]
        for stack in self.stacks:  # grows meanwhile
            self._read_nested(stack)
        by_path = sorted(self.stacks, key=lambda stack: stack.path)
        ordered = by_path if isinstance(source, Path) else self.stacks
        self.templates = {stack.path: stack.template for stack in ordered}
        settled = {stack.path: Settled(stack.template, stack.parameters) for stack in ordered}
        self.resources = [
            Resource(
                stack.path,
                logical_id,
                stack.path_of(logical_id),
                definition["Type"],
                settled[stack.path].settle(definition.get("Properties", {})),
                definition,
                stack.name,
            )
            for stack in ordered
            for logical_id, definition in stack.template.get("Resources", {}).items()
        ]

    # -- assets ---------------------------------------------------------------------------

    def asset_directory(self, object_key: str) -> Path:
        """Returns the directory with the files of the asset that is uploaded as `object_key`."""
        source = self.asset(object_key)
        if source is None:
            raise RehearsalError(
                f"the assembly {self.directory} has no asset {object_key}: synthesize it again"
            )
        if source.is_dir():
            return source
        if not zipfile.is_zipfile(source):
            raise RehearsalError(
                f"the asset {source} is neither a directory nor a zip file: synthesize it again"
            )
        if self._extracted is None:
            self._extracted = Path(tempfile.mkdtemp(prefix="rehearsal-assets-"))
        target = self._extracted / source.stem
        if not target.exists():
            with zipfile.ZipFile(source) as archive:
                archive.extractall(target)
        return target

    def asset(self, object_key: str) -> Path | None:
        """Returns the file or directory that is uploaded as `object_key`, if there is one."""
        source = self._assets.get(object_key)
        return source if source is not None and source.exists() else None

    def asset_size(self, object_key: str) -> int:
        """Returns the unzipped size of an asset in bytes; 0 if it is not in the assembly."""
        source = self._assets.get(object_key, Path("missing"))
        if source.is_dir():
            return sum(file.stat().st_size for file in source.rglob("*") if file.is_file())
        if not zipfile.is_zipfile(source):
            return 0
        with zipfile.ZipFile(source) as archive:
            return sum(each.file_size for each in archive.infolist())

    def close(self) -> None:
        """Removes what was extracted from zip files."""
        if self._extracted is not None:
            shutil.rmtree(self._extracted, ignore_errors=True)

    # -- resources ------------------------------------------------------------------------

    def of_type(self, *types: str) -> list[Resource]:
        """Returns all resources of these types. Raises LookupError if there is none."""
        found = self.all_of(*types)
        if not found:
            raise LookupError(f"no {' or '.join(types)} in {', '.join(self.templates)}")
        return found

    def all_of(self, *types: str) -> list[Resource]:
        """Returns all resources of these types, if there are any."""
        return [resource for type_ in types for resource in self._by_type.get(type_, ())]

    def at(self, path: str) -> Resource:
        """Returns the one resource at a construct path. Raises LookupError if there is none."""
        found = self._by_path.get(path, [])
        if len(found) != 1:
            raise LookupError(f"{len(found)} resources at {path} in {', '.join(self.templates)}")
        return found[0]

    def queue_at(self, path: str | None) -> Resource | None:
        """Returns the queue at a path, or None."""
        found = self._by_path.get(path or "", [])
        return next((each for each in found if each.type == "AWS::SQS::Queue"), None)

    def identified(self, stack: str, logical_id: str) -> Resource | None:
        """Returns the resource of a stack with a logical id, or None."""
        return self._by_id.get((stack, logical_id))

    def stack_of(self, resource: Resource) -> Stack:
        """Returns the stack of a resource."""
        return self._by_stack[resource.stack]

    def nested(self, resource: Resource) -> Stack | None:
        """Returns the nested stack that a resource creates, if its template is in the assembly."""
        return self._nested.get((resource.stack, resource.logical_id))

    # -- references -----------------------------------------------------------------------

    def referred(self, stack: str, value: Any) -> Resource:
        """Returns the resource that a reference is about, be it in this stack or in another one.

        So is an ARN that ends in a reference, and a part of one, or a reference with a qualifier.
        A reference to a version or an alias is one to its function or state machine. Raises
        LookupError for all other values.
        """
        return self._unqualified(self._referred(stack, value))

    def _referred(self, stack: str, value: Any) -> Resource:
        stack, value = self.origin(stack, value)
        match value:
            case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), _]}:
                return self._by_id[stack, name]
            case {"Fn::GetAtt": str(dotted)}:
                return self._by_id[stack, dotted.partition(".")[0]]
            case {"Fn::Sub": str(text)} if match := _ONLY_PLACEHOLDER.fullmatch(text):
                return self._referred(stack, {"Ref": match["name"]})
            case {"Fn::Join": ["", ["arn:", *_, {"Ref": _} as name]]}:
                return self._referred(stack, name)
            case {"Fn::Join": ["", [dict(arn), str(qualifier)]]} if qualifier.startswith(":"):
                return self._referred(stack, arn)
            case {"Fn::Select": [_, {"Fn::Split": [_, reference]}]}:
                return self._referred(stack, reference)
        raise LookupError(f"{value} in {stack} is no reference")

    def _unqualified(self, resource: Resource) -> Resource:
        """Returns the function or state machine of a version or an alias, or the resource itself.

        https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachinealias.html
        """
        while resource.type in _QUALIFIED:
            properties = resource.properties
            preference = properties.get("DeploymentPreference") or {}
            routes = [preference, *listed(properties.get("RoutingConfiguration"))]
            versions = [each["StateMachineVersionArn"] for each in routes if each]
            named = properties.get("FunctionName", properties.get("StateMachineArn"))
            following = named or next(iter(versions), None)
            resource = self._referred(resource.stack, following)
        return resource

    def origin(self, stack: str, value: Any) -> tuple[str, Any]:
        """Returns the stack and the expression that a value comes from, through other stacks."""
        while found := self._defined(stack, value):
            stack, value = found
        return stack, value

    def find(self, stack: str, value: Any) -> Resource | None:
        """Returns the resource that a reference is about, or None."""
        try:
            return self.referred(stack, value)
        except LookupError:
            return None

    def refers(self, stack: str, value: Any) -> bool:
        """Whether a value is a reference to a resource of the assembly."""
        return self.find(stack, value) is not None

    def references(self, stack: str, value: Any) -> Iterator[Resource]:
        """Yields the resources that a value refers to, anywhere in it and through other stacks."""
        for name in named(value):
            if target := self.identified(stack, name):
                try:
                    yield self._unqualified(target)
                except LookupError:
                    yield target  # The function is in no template.
        for node in nodes(value):
            if found := self._defined(stack, node):
                yield from self.references(*found)

    def _defined(self, stack: str, value: Any) -> tuple[str, Any] | None:
        """The stack and expression of an export, parameter or output that a value refers to."""
        match value:
            case {"Fn::ImportValue": name}:
                return self.exports.get(_export_name(name))
            case {"Ref": str(name)}:
                inner = self._by_stack.get(stack)
                if inner and inner.parent and name in inner.parameters:
                    return inner.parent, inner.parameters[name]
            case {"Fn::GetAtt": [str(logical_id), str(output)]}:
                nested = self._nested.get((stack, logical_id))
                outputs = nested.template.get("Outputs", {}) if nested else {}
                if nested and output.removeprefix("Outputs.") in outputs:
                    return nested.path, outputs[output.removeprefix("Outputs.")]["Value"]
        return None

    @cached_property
    def exports(self) -> dict[str, tuple[str, Any]]:
        """The exporting stack and the value of each export, by export name."""
        return {
            _export_name(output["Export"]["Name"]): (stack, output["Value"])
            for stack, template in self.templates.items()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }

    def exports_of(self, stack: str) -> dict[str, Any]:
        """Returns the values that a stack exports, by export name."""
        return {name: value for name, (by, value) in self.exports.items() if by == stack}

    @cached_property
    def stack_names(self) -> dict[str, str]:
        """The names of stacks in CloudFormation, by their paths."""
        return {stack.path: stack.name for stack in self.stacks}

    @cached_property
    def dependencies(self) -> dict[str, set[str]]:
        """For each stack, the stacks that are deployed before it."""
        direct = {
            stack.path: {*stack.dependencies}
            | {self.exports[name][0] for name in imports(stack.template) if name in self.exports}
            for stack in self.stacks
        }
        found: dict[str, set[str]] = {}
        for stack in direct:
            found[stack] = set()
            waiting = [stack]
            while waiting:
                further = direct[waiting.pop()] - found[stack]
                found[stack] |= further
                waiting += further
        return found

    def definition(self, machine: Resource) -> dict[str, Any]:
        """Returns the definition of a state machine, with paths in place of references.

        The path of a function also stands for its versions and aliases.
        """
        properties = machine.properties
        definition = properties.get("Definition", properties.get("DefinitionString"))
        match definition:
            case {"Fn::Join": [_, list(parts)]}:
                definition = "".join(self._words(machine.stack, parts))
        if isinstance(definition, str):
            definition = json.loads(definition)
        if isinstance(definition, dict):
            return definition
        raise LookupError(f"the definition of {machine} is not in its template")

    def _words(self, stack: str, parts: list[Any]) -> Iterator[str]:
        function = False
        for part in parts:
            if isinstance(part, str):
                yield _QUALIFIER.sub("", part) if function else part
                function = False
                continue
            found = self.find(stack, part)
            function = found is not None and found.type == "AWS::Lambda::Function"
            if found:
                yield found.path
            else:
                yield "aws" if part == {"Ref": "AWS::Partition"} else texts(part)

    @cached_property
    def _by_stack(self) -> dict[str, Stack]:
        return {stack.path: stack for stack in self.stacks}

    @cached_property
    def _by_path(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource.path, []).append(resource)
        return found

    @cached_property
    def _by_type(self) -> dict[str, list[Resource]]:
        found: dict[str, list[Resource]] = {}
        for resource in self.resources:
            found.setdefault(resource.type, []).append(resource)
        return found

    @cached_property
    def _by_id(self) -> dict[tuple[str, str], Resource]:
        return {(resource.stack, resource.logical_id): resource for resource in self.resources}

    # -- files ----------------------------------------------------------------------------

    def _read_manifest(self, directory: Path, stage: str, only: Collection[Path] | None) -> None:
        artifacts = _artifacts(directory / "manifest.json")
        paths = {
            name: artifact.get("displayName", name)
            for name, artifact in artifacts.items()
            if artifact["type"] == "aws:cloudformation:stack"
        }
        for name, artifact in artifacts.items():
            kind = artifact["type"]
            properties = artifact.get("properties", {})
            if kind == "aws:cloudformation:stack":
                file = directory / properties["templateFile"]
                if only is not None and file not in only:
                    continue
                self.applications[stage] = directory
                account, region = artifact["environment"].removeprefix("aws://").split("/")
                needed = artifact.get("dependencies", ())
                self.stacks.append(
                    Stack(
                        path=paths[name],
                        name=properties.get("stackName", name),
                        template=_read_json(file),
                        account=None if account.startswith("unknown") else account,
                        region=None if region.startswith("unknown") else region,
                        parameters=properties.get("parameters", {}),
                        dependencies=frozenset(paths[each] for each in needed if each in paths),
                        file=file,
                    )
                )
            elif kind == "cdk:asset-manifest":
                self._read_assets(directory, properties["file"])
            elif kind == "cdk:cloud-assembly":
                # The display name is the path in the construct tree.
                inner = properties.get("displayName", name)
                self._read_manifest(directory / properties["directoryName"], inner, only)
            elif kind not in _OTHER_ARTIFACTS:
                raise RehearsalError(
                    f"{directory / 'manifest.json'}: artifact {name} has the unknown type {kind}: "
                    "use a version of cdk-rehearsal that knows it"
                )

    def _read_assets(self, directory: Path, file: str) -> None:
        for asset in _read_json(directory / file).get("files", {}).values():
            source = asset["source"]
            if "path" not in source:
                continue
            for destination in asset["destinations"].values():
                self._assets[destination["objectKey"]] = directory / source["path"]

    def _read_nested(self, parent: Stack) -> None:
        for logical_id, definition in parent.template.get("Resources", {}).items():
            if definition["Type"] != NESTED_STACK:
                continue
            properties = definition.get("Properties", {})
            url = texts(properties.get("TemplateURL", ""))
            file = next((file for key, file in self._assets.items() if url.endswith(key)), None)
            if file is None:
                continue  # Its template is not in the assembly: checks report the resource.
            nested = Stack(
                path=_NESTED_STACK_PATH.sub("", parent.path_of(logical_id)),
                name=f"{parent.name}-{logical_id}-{_digest(f'{parent.name}/{logical_id}')}",
                template=_read_json(file),
                account=parent.account,
                region=parent.region,
                parameters=properties.get("Parameters", {}),
                dependencies=parent.dependencies,
                parent=parent.path,
                file=file,
            )
            self._nested[parent.path, logical_id] = nested
            self.stacks.append(nested)


def imports(template: Template) -> set[str]:
    """Returns the names of the exports that a template imports."""
    return {
        _export_name(node["Fn::ImportValue"])
        for node in nodes(template)
        if isinstance(node, Mapping) and "Fn::ImportValue" in node
    }


def nodes(value: Any) -> Iterator[Any]:
    """Yields a value and everything in it."""
    yield value
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def listed(value: Any) -> list[Any]:
    """Returns a value as a list: policies may write a single one without brackets."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def texts(value: Any) -> str:
    """Returns all strings in a value as one, such as those of an ARN and its references."""
    return "".join(node for node in nodes(value) if isinstance(node, str))


def named(value: Any) -> Iterator[str]:
    """Yields the logical ids and pseudo parameters that a value refers to."""
    for node in nodes(value):
        match node:
            case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
                yield name
            case {"Fn::GetAtt": str(dotted)}:
                yield dotted.partition(".")[0]
            case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), *_]}:
                yield from (name.partition(".")[0] for name in _PLACEHOLDER.findall(text))


def _export_name(name: Any) -> str:
    return name if isinstance(name, str) else json.dumps(name, sort_keys=True)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12].upper()


def _artifacts(manifest: Path) -> dict[str, dict[str, Any]]:
    content: Any = _read_json(manifest)
    artifacts = content.get("artifacts", {}) if isinstance(content, dict) else None
    if artifacts is None or not all("type" in artifact for artifact in artifacts.values()):
        raise RehearsalError(f"{manifest} is no manifest of a cloud assembly: synthesize it again")
    return dict(artifacts)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except OSError:
        raise RehearsalError(
            f"{path} is missing: name a directory that `cdk synth` wrote, such as cdk.out"
        ) from None
    except ValueError as error:
        raise RehearsalError(f"{path} is not JSON: {error}: synthesize it again") from error
    return content
