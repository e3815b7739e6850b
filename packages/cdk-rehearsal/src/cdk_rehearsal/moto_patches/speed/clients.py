"""Makes botocore read the data of a service once per process."""

from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
import botocore
import botocore.loaders
import botocore.session
from botocore.client import ClientCreator
from botocore.model import ServiceModel

from cdk_rehearsal.sandbox.patching import Patches

_make_class: Callable[..., type] = ClientCreator._create_client_class  # type: ignore[attr-defined]
_classes: dict[str, type] = {}


def patch(patches: Patches) -> None:
    """Shares the immutable descriptions and classes of clients; drops the default session."""
    patches.set(boto3, "DEFAULT_SESSION", None)
    # Each execution environment imports Powertools, which appends a function to this list.
    initializers = list(botocore._INITIALIZERS)  # type: ignore[attr-defined]
    patches.set(botocore, "_INITIALIZERS", initializers)
    patches.set(botocore.session, "create_loader", lambda search_path_string=None: _loader())
    patches.set(ClientCreator, "_create_client_class", _class)
    patches.set(ClientCreator, "_load_service_model", _load_model)


@cache
def _loader() -> botocore.loaders.Loader:
    # Without ~/.aws/models, which may contain other versions of the service models.
    built_in = botocore.loaders.Loader.BUILTIN_DATA_PATH
    return botocore.loaders.Loader([built_in], include_default_search_paths=False)


@cache
def _model(service_name: str, api_version: str | None) -> ServiceModel:
    description = _loader().load_service_model(service_name, "service-2", api_version=api_version)
    return ServiceModel(description, service_name=service_name)


def _load_model(_: Any, service_name: str, api_version: str | None = None) -> ServiceModel:
    return _model(service_name, api_version)


def _class(creator: ClientCreator, service_name: str, service_model: Any) -> type:
    # boto3 adds methods to the class of S3, but plain botocore does not.
    if service_name == "s3":
        return _make_class(creator, service_name, service_model)
    if service_name not in _classes:
        _classes[service_name] = _make_class(creator, service_name, service_model)
    return _classes[service_name]
