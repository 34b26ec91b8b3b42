"""docs/coverage.md says what was seen, and what was not."""

from pathlib import Path

from sdk.coverage import Seen, page
from sdk.groups import ALL, SDKS, Group, groups, name_of
from sdk.matrix import Run


def seen(sdk: str, passed: bool = True, test: str = "test_a[one]", version: str = "1.10.0") -> Seen:
    return Seen(test, sdk, version, "plain", False, passed)


def rows(text: str) -> list[list[str]]:
    table = text[text.index("| SDK") :].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_a_test_that_failed_anywhere_is_a_failure_of_that_version():
    found = rows(
        page([seen("groq"), seen("groq", False), seen("groq", test="test_b"), seen("groq", version="1.9.0")], [], "3.12.1")
    )
    assert [row[:3] for row in found] == [["groq", "1.9.0", "1"], ["groq", "1.10.0", "**1 of 2 failed**"]]
    assert set(found[0][3:]) == {"-"}


def test_what_nothing_was_seen_of_has_a_row_that_says_why():
    text = page([], [("groq==0.9.0", "could not be installed")], "3.12.1")
    assert [row[:2] for row in rows(text)] == [["groq==0.9.0", "**could not be installed**"]]
    assert "on Python 3.12.1," in text


def test_an_sdk_that_is_installed_and_that_no_test_saw_is_told(tmp_path: Path):
    run = Run("some", Group(("litellm>=1.100", "groq==0.9.0", "cohere<6")), tmp_path, [])
    run.missing.append("cohere<6")
    run.seen.append(seen("litellm, all on httpx"))
    assert run.absent() == [("cohere<6", "could not be installed"), ("groq==0.9.0", "installed, and seen by no test")]


def test_each_group_names_its_sdks_and_runs_the_tests_that_see_them():
    for name, group in groups().items():
        assert bool(group.sdks) is (group.tests in (ALL, SDKS)), name
        assert len({name_of(one) for one in group.requirements}) == len(group.requirements), name
