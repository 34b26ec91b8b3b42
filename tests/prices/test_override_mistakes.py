"""A mistake in a price file is refused, with its place and what to write instead."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costspan.prices import PriceBook, PriceFileError

MISTAKES = [
    ("gpt-4.1 = { input = 2 }", 1, "'1'", 'a model name with a dot in quotes ("gpt-4.1" = ...)'),
    ('"a" = { input = 1 }\n"b" = { input = -1 }', 2, "'input'", "a number, 0 or more"),
    ('[prices."a"]\ninput = 1\n[prices."b"]\ninput = 1\notput = 3', 5, "'otput'", "one of provider, host"),
    ('"a" = { input = "2" }', 1, "'input'", "a number, 0 or more"),
    ('"a" = { input = true }', 1, "'input'", "a number, 0 or more"),
    ('"a" = { input = inf }', 1, "'input'", "a number, 0 or more"),
    ('"a" = { input = nan }', 1, "'input'", "a number, 0 or more"),
    ('"a" = { provider = "x" }', 1, "'a'", "at least one of input"),
    ('"a" = { input = 1, currency = "euro" }', 1, "'currency'", "ISO 4217"),
    ('currency = "usd"', 1, "'currency'", "ISO 4217"),
    ('[[prices."b"]]\ninput = 1\n[[prices."b"]]\ninput = 1\nfrom = "2026-01-01"', 5, "'from'", "a date without quotes"),
    ('"a" = { input = 1, from = 2026-02-01, until = 2026-01-01 }', 1, "'until'", "a later day"),
    ('"a" = { input = 1, above = { much = { input = 2 } } }', 1, "'much'", "above.200_000"),
    ('"a" = { input = 1, above = { 200 = { output = 2 } } }', 1, "'output'", "one of input"),
    ('"a" = { input = 1, batch = 0.5 }', 1, "'batch'", "{ input = 1, output = 4 }"),
    ('"a" = { input = 1, flex = { inptu = 1 } }', 1, "'inptu'", "one of above, input"),
    ('"a" = { input = 1, context_window = 0 }', 1, "'context_window'", "a whole number"),
    ('"a" = { input = 1, replace_provider_cost = 1 }', 1, "'replace_provider_cost'", "true or false"),
    ('"a" = { input = 1, team = "" }', 1, "'team'", "text in quotes"),
    ("host = 3", 1, "'host'", '"model" = { input = 2, output = 8 }'),
    ("prices = 3", 1, "'prices'", "[prices]"),
    ("[[discount]]\npercent = 1\n[[discount]]\npercent = 101", 4, "'percent'", "0 to 100"),
    ('[[discount]]\nteam = "a"', 1, "'discount'", "percent = 12.5"),
    ("discount = 3", 1, "'discount'", "[[discount]]"),
    ('[[discount]]\npercent = 1\nmodle = "a"', 3, "'modle'", "one of provider"),
    ("\na = {", 2, "not TOML", ""),
    ('"a" = { input = 1 }\n"a" = { input = 2 }', 2, "not TOML", ""),
]


@pytest.mark.parametrize(("text", "line", "what", "expected"), MISTAKES)
def test_a_mistake_is_refused_with_file_line_key_and_remedy(tmp_path: Path, text: str, line: int, what: str, expected: str):
    (tmp_path / "prices0.toml").write_text(text)
    with pytest.raises(PriceFileError) as refused:
        PriceBook([tmp_path / "prices0.toml"])
    message = str(refused.value)
    assert f"prices0.toml:{line}: " in message
    assert what in message
    assert expected in message


def test_a_file_that_is_not_there_or_not_text_is_refused_by_name(tmp_path: Path):
    with pytest.raises(PriceFileError, match=r"none\.toml: No such file"):
        PriceBook([tmp_path / "none.toml"])
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PriceFileError, match="not UTF-8"):
        PriceBook([tmp_path / "bad.toml"])


@settings(deadline=None, max_examples=50)
@given(
    value=st.recursive(st.integers() | st.booleans() | st.text("ab1*. ", max_size=4), lambda inner: st.lists(inner, max_size=2))
)
@pytest.mark.parametrize("key", ["input", "from", "batch", "above", "team", "currency", "replace_provider_cost"])
def test_any_value_in_any_place_is_taken_or_refused_as_a_price_file_error(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
):
    file = tmp_path_factory.mktemp("prices") / "p.toml"
    text = str(value).lower() if isinstance(value, bool) else repr(value).replace("True", "true").replace("False", "false")
    file.write_text(f'"m" = {{ output = 1, {key} = {text} }}', encoding="utf-8")
    refused = None
    try:
        PriceBook([file])
    except PriceFileError as error:
        refused = str(error)
    assert refused is None or "p.toml:1: " in refused
