"""Requests: routing to a service, signatures, and the members of answers."""

import re
import string
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import count
from typing import Any

from botocore import useragent
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSPreparedRequest
from moto import backend_index, backends
from moto.core import base_backend
from moto.core.base_backend import BackendDict
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.config import passthrough_service, passthrough_url, service_whitelisted
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.request import normalize_request
from moto.core.serialize import AttributePicker
from moto.core.utils import get_equivalent_url_in_aws_domain
from moto.moto_api import recorder
from moto.moto_api._internal.moto_random import MotoRandom
from werkzeug.exceptions import HTTPException

from cdk_rehearsal.sandbox.patching import Patches

_ROUTES = 4096
_NAMES = count()
_Handler = Callable[..., Any]
_LETTERS = string.ascii_letters
# What each byte stands for, with digits and without.
_CHARACTERS = {
    digits: bytes(ord(pool[byte % len(pool)]) for byte in range(256))
    for digits, pool in ((True, _LETTERS + string.digits), (False, _LETTERS))
}


def patch(patches: Patches) -> None:
    """Remembers which function answers which URL, and which names an answer's members may have."""
    _patch_routing(patches)
    _patch_picking(patches)
    # botocore builds a client's name anew for each request, out of parts that do not change.
    sanitize = lru_cache(_ROUTES)(useragent.sanitize_user_agent_string_component)
    patches.set(useragent, "sanitize_user_agent_string_component", sanitize)
    patches.set(SigV4Auth, "add_auth", _sign(SigV4Auth.add_auth))
    _patch_accounts(patches)
    patches.set(MotoRandom, "get_random_string", _random_string)


def _patch_accounts(patches: Patches) -> None:
    # moto looks through all backends each time, for what is there already. The first time it has
    # to: it empties those alone that it has on a list, and one that another brings back while they
    # are emptied is not on it.
    find: Any = BackendDict.__getitem__
    empty = BackendDict.reset
    listed: set[tuple[str, str]] = set()

    def account(backends: Any, account_id: str) -> Any:
        key = (backends._id, account_id)
        found = dict.get(backends, account_id)
        if found is not None and key in listed:
            return found
        listed.add(key)
        return find(backends, account_id)

    def reset(_: type[BackendDict[Any]]) -> None:
        empty()
        listed.clear()

    # They are made when they are first needed, so in the first rehearsal of a process: their names
    # must not use up what the seed gives to others.
    patches.set(base_backend, "uuid4", partial(next, _NAMES))
    patches.set(BackendDict, "__getitem__", account)
    patches.set(BackendDict, "reset", classmethod(reset))


def _random_string(
    self: MotoRandom, length: int = 20, include_digits: bool = True, lower_case: bool = False
) -> str:
    # moto draws each character by itself, 52 of them for the id of each request.
    text = self.randbytes(length).translate(_CHARACTERS[include_digits]).decode()
    return text.lower() if lower_case else text


def _sign(original: Any) -> Any:
    """Names caller and service, which is all that moto reads of a signature except in S3."""

    def add_auth(signer: Any, request: Any) -> None:
        if isinstance(signer, S3SigV4Auth):
            original(signer, request)
            return
        scope = f"20260101/{signer._region_name}/{signer._service_name}/aws4_request"
        request.headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={signer.credentials.access_key}/{scope}, "
            "SignedHeaders=host, Signature=rehearsed"
        )

    return add_auth


def _patch_routing(patches: Patches) -> None:
    # moto tries some 250 patterns for each request, and compiles those of the service it found.
    original = BotocoreStubber.process_request
    route = lru_cache(_ROUTES)(_route)

    def process_request(stubber: BotocoreStubber, request: AWSPreparedRequest) -> Any:
        parsed, _ = get_equivalent_url_in_aws_domain(request.url)
        url = f"{parsed.scheme}://{parsed.netloc}{parsed.path}"
        service, handler = route(url)
        unusual = passthrough_url(url) or passthrough_service(service)
        if handler is None or unusual or not service_whitelisted(service):
            return original(stubber, request)
        normalized = normalize_request(request)
        try:
            recorder._record_request(normalized)
            return handler(normalized, normalized.raw_url, normalized.headers)
        except HTTPException as error:
            return error.code, error.get_headers(), error.get_body()

    patches.set(BotocoreStubber, "process_request", process_request)


def _route(url: str) -> tuple[str, _Handler | None]:
    """The service that answers a URL, and the function within it: the first that matches."""
    for service, pattern in backend_index.backend_url_patterns:
        if pattern.match(url):
            for expression, handler in _urls(service).items():
                if re.match(expression, url):
                    return service, handler
    return "", None


def _urls(service: str) -> dict[str, _Handler]:
    regions: Any = backends.get_backend(service)  # type: ignore[call-overload]
    if isinstance(regions, BackendDict):
        account: Any = regions[DEFAULT_ACCOUNT_ID]
        regions = account
        backend = regions["us-east-1" if "us-east-1" in regions else "aws"]
    else:
        backend = regions["global"]
    urls: dict[str, _Handler] = backend.urls
    return urls


def _patch_picking(patches: Patches) -> None:
    # Under which names a member may stand in an answer depends on the model alone, as long as
    # the answer is a plain dictionary; moto works it out for each member of each answer.
    original = AttributePicker.__call__
    names: dict[tuple[Any, ...], tuple[str, ...]] = {}

    def pick(picker: AttributePicker, context: Any) -> Any:
        values = context.obj
        if type(values) is not dict or picker.response_transformers:
            return original(picker, context)
        shape = context.shape
        parent = getattr(shape, "parent", None)
        service = context.service_model.service_name
        key = (type(picker), service, parent and parent.name, shape.name, context.key)
        possible = names.get(key)
        if possible is None:
            possible = names[key] = tuple(dict.fromkeys(picker.get_possible_keys(context)))
        for name in possible:
            if name in values:
                return values[name]
        return None

    patches.set(AttributePicker, "__call__", pick)
