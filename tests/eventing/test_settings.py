"""Settings: exactly a stack's values reach a handler through environment variables."""

import pytest

from lambdas.eventing.settings import Settings, TableSettings


class Sample(TableSettings, frozen=True, kw_only=True):
    """Settings with each kind of field in use."""

    bus_name: str = "default"
    nickname: str | None = None


def test_settings_are_equal_after_conversion_to_variables_and_back() -> None:
    settings = Sample(table_name="t", inbox_days=22, bus_name="b", nickname="n")
    assert Sample.from_environ(settings.as_environment()) == settings


def test_variable_names_are_the_field_names_in_capitals() -> None:
    environment = TableSettings(table_name="t", inbox_days=22).as_environment()
    assert environment == {"TABLE_NAME": "t", "INBOX_DAYS": "22"}


def test_a_field_without_a_value_has_no_variable_and_gets_its_default() -> None:
    settings = Sample(table_name="t", inbox_days=22)
    assert "NICKNAME" not in settings.as_environment()
    assert Sample.from_environ({"TABLE_NAME": "t", "INBOX_DAYS": "22"}) == settings


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", "t")
    monkeypatch.setenv("INBOX_DAYS", "22")
    assert TableSettings.from_environ() == TableSettings(table_name="t", inbox_days=22)


def test_an_empty_environment_is_empty_even_if_the_process_has_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TABLE_NAME", "t")
    monkeypatch.setenv("INBOX_DAYS", "22")
    with pytest.raises(RuntimeError):
        TableSettings.from_environ({})


@pytest.mark.parametrize("missing", ["TABLE_NAME", "INBOX_DAYS"])
def test_a_missing_variable_is_named(missing: str) -> None:
    environment = {"TABLE_NAME": "t", "INBOX_DAYS": "22"}
    del environment[missing]
    with pytest.raises(RuntimeError, match=rf"TableSettings.*{missing.lower()}.*capitals"):
        TableSettings.from_environ(environment)


def test_a_malformed_variable_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"int.*inbox_days"):
        TableSettings.from_environ({"TABLE_NAME": "t", "INBOX_DAYS": "soon"})


def test_other_variables_of_the_shell_are_ignored() -> None:
    environment = {
        "TABLE_NAME": "t",
        "INBOX_DAYS": "22",
        "table_name": "lower case is another variable",
        "AWS_PROFILE": "somebody",
        "PATH": "/bin",
    }
    assert TableSettings.from_environ(environment) == TableSettings(table_name="t", inbox_days=22)


def test_a_string_that_looks_like_a_number_stays_a_string() -> None:
    settings = TableSettings.from_environ({"TABLE_NAME": "007", "INBOX_DAYS": "22"})
    assert settings.table_name == "007"


def test_settings_without_fields_need_no_variable() -> None:
    assert Settings().as_environment() == {}
    assert Settings.from_environ({"TABLE_NAME": "t"}) == Settings()
