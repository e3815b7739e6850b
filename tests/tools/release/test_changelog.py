"""The changelog: the version that it describes, and headings that a release can rely on."""

import pytest
from packaging.version import Version

from tools.contracts.documents import version
from tools.release.changelog import sections
from tools.release.steps import ReleaseError


def test_the_newest_section_describes_the_version_of_the_project() -> None:
    newest, *earlier = sections()
    assert newest.version == version()
    assert newest.notes
    assert all(each.released for each in earlier)


def test_versions_and_dates_descend() -> None:
    found = sections()
    assert [each.version for each in found] == sorted(
        (each.version for each in found), key=Version, reverse=True
    )
    dates = [each.released for each in found if each.released]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Changelog\n", "a heading is not"),
        ("## 1.0.0\n", r"correct one of \['## 1.0.0'\]"),
        ("## 1.0.0 (soon)\n", "'soon' of 1.0.0 is no date"),
    ],
)
def test_a_heading_that_says_no_date_is_named(text: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        sections(text)


def test_notes_are_the_text_below_a_heading() -> None:
    new, old = sections(
        "# Log\n\n## 1.1.0 (unreleased)\n\n- New.\n\n## 1.0.0 (2027-01-31)\n\n- Old.\n"
    )
    assert (new.notes, new.released) == ("- New.", None)
    assert (old.notes, str(old.released)) == ("- Old.", "2027-01-31")
