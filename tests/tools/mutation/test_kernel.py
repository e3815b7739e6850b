"""The figures of the kernel's mutants."""

import json
from pathlib import Path

import pytest

from tools.mutation.kernel import statuses, summary


def statuses_of(directory: Path, **codes: int | None) -> dict[str, str]:
    meta = directory / "relay.py.meta"
    meta.write_text(json.dumps({"exit_code_by_key": codes}))
    return statuses([meta])


def test_each_mutant_is_read_with_its_status(tmp_path: Path) -> None:
    found = statuses_of(tmp_path, a=1, b=0, c=33, d=None, e=36, f=-24)
    assert found == {
        "a": "killed",
        "b": "survived",
        "c": "no tests",
        "d": "not checked",
        "e": "timeout",
        "f": "timeout",
    }


@pytest.mark.parametrize(
    ("killed", "survived", "unchecked", "enough"),
    [(9, 1, 0, True), (8, 2, 0, False), (19, 0, 1, False), (0, 0, 0, False)],
)
def test_nine_of_ten_mutants_must_be_killed_and_all_must_run(
    tmp_path: Path, killed: int, survived: int, unchecked: int, enough: bool
) -> None:
    codes: list[int | None] = [1] * killed + [0] * survived + [None] * unchecked
    found = statuses_of(tmp_path, **{f"m{number}": code for number, code in enumerate(codes)})
    assert summary(found)[1] is enough
