"""Settings: the environment variables by which a stack configures a function."""

import os
from collections.abc import Mapping
from typing import Self

import msgspec

from lambdas.eventing.misconfiguration import Misconfigured


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Base of each context's settings. A field `table_name` is the variable `TABLE_NAME`."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Reads the fields from `environ` (the process's by default).

        Raises Misconfigured naming the variable that is missing or malformed.
        """
        environ = os.environ if environ is None else environ
        found = {
            field: environ[field.upper()]
            for field in cls.__struct_fields__
            if field.upper() in environ
        }
        try:
            return msgspec.convert(found, cls, strict=False)
        except msgspec.ValidationError as error:
            raise Misconfigured(
                f"environment of {cls.__module__}.{cls.__qualname__}: {error} "
                "(variables are the field names in capitals, set by the stack)"
            ) from error

    def as_environment(self) -> dict[str, str]:
        """Returns the settings as environment variables; values may be CDK tokens."""
        return {
            field.upper(): str(getattr(self, field))
            for field in self.__struct_fields__
            if getattr(self, field) is not None
        }


class TableSettings(Settings, frozen=True, kw_only=True):
    """The settings of functions that use their context's table."""

    table_name: str
    inbox_days: int
    """How long the inbox keeps a processed event. See `Environment.inbox_days`."""
