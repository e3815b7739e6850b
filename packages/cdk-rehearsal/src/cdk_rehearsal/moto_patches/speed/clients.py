"""AWS clients: botocore reads the data of a service once per process."""

from collections.abc import Callable
from functools import cache
from inspect import CO_VARKEYWORDS
from types import FunctionType
from typing import Any

import boto3
import botocore
import botocore.hooks
import botocore.loaders
import botocore.regions
import botocore.session
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.client import BaseClient, ClientCreator
from botocore.endpoint_provider import EndpointProvider
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.model import ServiceModel
from botocore.signers import RequestSigner
from botocore.useragent import UserAgentString

from cdk_rehearsal.moto_patches.speed.direct import is_as_made
from cdk_rehearsal.moto_patches.speed.prototypes import own
from cdk_rehearsal.sandbox.patching import Patches

_alias: Callable[[EventAliaser, str], str] = EventAliaser._alias_event_name  # type: ignore[attr-defined]
_aliaser = EventAliaser(HierarchicalEmitter())
_accepts_kwargs: Any = botocore.hooks.accepts_kwargs
_make_class: Callable[..., type] = ClientCreator._create_client_class  # type: ignore[attr-defined]
_auth: Callable[..., Any] = RequestSigner.get_auth_instance
_IN_HEADERS = (SigV4Auth, S3SigV4Auth)
_classes: dict[str, type] = {}
_providers: dict[int, tuple[Any, EndpointProvider]] = {}
_prototypes: dict[tuple[str, str], BaseClient] = {}


def make_client(service: str, region: str) -> Any:
    """Returns a boto3 client of its own; its parts are those of a client made before.

    Only while a rehearsal runs, because each has the same credentials and settings. A client whose
    event handlers the program has changed is not used again.
    """
    key = (service, region)
    known = _prototypes.get(key)
    if known is None or not is_as_made(known):
        # Any service, known only by name: the stubs list all of them as literals.
        make: Any = boto3.client
        known = _prototypes[key] = own(make(service, region_name=region))
    # `copy.copy` asks for attributes that a client without state does not have.
    client = object.__new__(type(known))
    vars(client).update(vars(known))
    return client


def patch(patches: Patches) -> None:
    """Shares descriptions and classes of clients, which never change; forgets the session."""
    patches.set(boto3, "DEFAULT_SESSION", None)
    # Powertools puts a function here whenever it is imported: once an execution environment.
    initializers = list(botocore._INITIALIZERS)  # type: ignore[attr-defined]
    patches.set(botocore, "_INITIALIZERS", initializers)
    patches.set(botocore.session, "create_loader", lambda search_path_string=None: _loader())
    patches.set(ClientCreator, "_create_client_class", _class)
    patches.set(ClientCreator, "_load_service_model", _load_model)
    patches.set(botocore.regions, "EndpointProvider", _provider)
    # Nobody renames events but botocore itself, whose list is the same for all clients.
    patches.set(EventAliaser, "_alias_event_name", lambda _, name: _alias(_aliaser, name))
    patches.set(botocore.hooks, "accepts_kwargs", _accepts)
    patches.set(RequestSigner, "get_auth_instance", _unsigned)
    # Each request would describe the program again, as the client has already done.
    patches.set(UserAgentString, "rebuild_and_replace_user_agent_handler", _nothing)


@cache
def _loader() -> botocore.loaders.Loader:
    # Without ~/.aws/models, where developers may keep other versions of the service models.
    built_in = botocore.loaders.Loader.BUILTIN_DATA_PATH
    return botocore.loaders.Loader([built_in], include_default_search_paths=False)


@cache
def _model(service_name: str, api_version: str | None) -> ServiceModel:
    description = _loader().load_service_model(service_name, "service-2", api_version=api_version)
    return ServiceModel(description, service_name=service_name)


def _load_model(_: Any, service_name: str, api_version: str | None = None) -> ServiceModel:
    return _model(service_name, api_version)


def _unsigned(signer: RequestSigner, *args: Any, **options: Any) -> Any:
    # moto reads the header's region and key, and checks no signature of a client's request.
    auth = _auth(signer, *args, **options)
    if type(auth) in _IN_HEADERS:
        auth.canonical_request = lambda _: ""
    return auth


def _nothing(_: UserAgentString, **__: Any) -> None:
    pass


def _accepts(handler: Any) -> bool:
    # The signature of each handler of each client's events is worked out, to find only this.
    function = getattr(handler, "__func__", handler)
    if isinstance(function, FunctionType):
        return bool(function.__code__.co_flags & CO_VARKEYWORDS)
    return bool(_accepts_kwargs(handler))


def _class(creator: ClientCreator, service_name: str, service_model: Any) -> type:
    # To the one of S3 boto3 adds methods, which plain botocore does not.
    if service_name == "s3":
        return _make_class(creator, service_name, service_model)
    if service_name not in _classes:
        _classes[service_name] = _make_class(creator, service_name, service_model)
    return _classes[service_name]


def _provider(ruleset_data: Any, partition_data: Any, **options: Any) -> EndpointProvider:
    # The rules are kept with it, so that nothing else ever has their id.
    known = _providers.get(id(ruleset_data))
    if known is None:
        made = EndpointProvider(ruleset_data, partition_data, **options)
        known = _providers[id(ruleset_data)] = (ruleset_data, made)
    return known[1]
