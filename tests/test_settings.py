"""Settings from the environment and from arguments, and the errors that name what is wrong."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import costspan
from costspan.settings import Settings, SettingsError, load


def test_nothing_set_is_the_defaults():
    assert load({}) == Settings()
    assert load({"COSTSPAN_LABELS": "", "COSTSPAN_LOG": ""}) == Settings()


def test_every_setting_is_read_from_its_variable(tmp_path: Path):
    file = tmp_path / "a.toml"
    file.touch()
    other = tmp_path / "b.toml"
    other.touch()
    found = load(
        {
            "COSTSPAN_LABELS": "team=search, project = ranking ,",
            "COSTSPAN_KEYS": str(file),
            "COSTSPAN_HASH_USERS": "s3cret",
            "COSTSPAN_SECRET": "other",
            "COSTSPAN_PROPAGATE": "Gateway.internal, .corp.example",
            "COSTSPAN_PRICES": f"{file}:{other}",
            "COSTSPAN_PROVIDERS": "llm.corp.example=vllm,localhost:1234=lm_studio",
            "COSTSPAN_STREAM_USAGE": "OFF",
            "COSTSPAN_METRIC_LABELS": "team,environment",
            "COSTSPAN_METRIC_LABEL_VALUES": "5",
            "COSTSPAN_COMPAT": "1.37",
            "COSTSPAN_BAGGAGE": "true",
            "COSTSPAN_LOG": "1",
        }
    )
    assert found == Settings(
        labels={"team": "search", "project": "ranking"},
        keys=file,
        hash_users="s3cret",
        secret="other",
        propagate=frozenset({"gateway.internal", ".corp.example"}),
        prices=(file, other),
        providers={"llm.corp.example": "vllm", "localhost:1234": "lm_studio"},
        stream_usage="off",
        metric_labels=("team", "environment"),
        metric_label_values=5,
        compat=frozenset({"1.37"}),
        baggage=True,
        log=True,
    )


def test_an_argument_wins_over_its_variable_and_takes_python_values(tmp_path: Path):
    file = tmp_path / "a.toml"
    file.touch()
    found = load(
        {"COSTSPAN_LABELS": "team=a", "COSTSPAN_LOG": "1", "COSTSPAN_METRIC_LABELS": "team"},
        labels={"team": "b"},
        log=False,
        metric_labels=["project"],
        prices=[file],
        metric_label_values=7,
    )
    assert (found.labels, found.log, found.metric_labels) == ({"team": "b"}, False, ("project",))
    assert (found.prices, found.metric_label_values) == ((file,), 7)


@pytest.mark.parametrize("text", ["a,b=c", "team=a,b;c", "x=1,2"])
def test_a_label_given_as_an_argument_may_hold_what_separates_them_in_the_variable(text: str):
    assert load({}, labels={"team": text}).labels == {"team": text}


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("COSTSPAN_LABELS", "team", "not name=value"),
        ("COSTSPAN_LABELS", "=x", "not name=value"),
        ("COSTSPAN_KEYS", "/no/such/file.toml", "/no/such/file.toml is not there"),
        ("COSTSPAN_PRICES", "/no/such/file.toml", "/no/such/file.toml is not there"),
        ("COSTSPAN_METRIC_LABELS", "team,user", "unbounded"),
        ("COSTSPAN_METRIC_LABELS", "session", "unbounded"),
        ("COSTSPAN_PRICES", f"/no/a.toml{os.pathsep}/no/b.toml", "/no/a.toml is not there"),
        ("COSTSPAN_KEYS", "/", "/ is no file"),
        ("COSTSPAN_METRIC_LABEL_VALUES", "many", "whole number, 1 or more"),
        ("COSTSPAN_METRIC_LABEL_VALUES", "99999999999", "whole number, 1 or more"),
        ("COSTSPAN_METRIC_LABEL_VALUES", "0", "1 or more"),
        ("COSTSPAN_COMPAT", "1.2", "known: 1.37"),
        ("COSTSPAN_BAGGAGE", "maybe", "1 or 0"),
        ("COSTSPAN_LOG", "loud", "1 or 0"),
        ("COSTSPAN_PROVIDERS", "host", "not name=value"),
        ("COSTSPAN_PROVIDERS", "https://llm.corp.example=vllm", "leave out scheme and path"),
        ("COSTSPAN_PROPAGATE", "https://gateway.internal", "leave out scheme, port and path"),
        ("COSTSPAN_STREAM_USAGE", "localhost:8000", "leave out scheme, port and path"),
        ("COSTSPAN_STREAM_USAGE", "off,gateway.internal", "stands alone"),
        ("COSTSPAN_STREAM_USAGE", "0", "want auto, off, or the hosts"),
        ("COSTSPAN_STREAM_USAGE", "auto,True", "want auto, off, or the hosts"),
        ("COSTSPAN_PROVIDERS", "llm.corp.example=", "has no provider's name"),
        ("COSTSPAN_PROVIDERS", "*.corp.example=vllm", "without *"),
        ("COSTSPAN_PROPAGATE", "*.corp.example", "without *"),
    ],
)
def test_an_error_names_the_setting_its_value_and_what_would_be(variable: str, value: str, says: str):
    with pytest.raises(SettingsError) as error:
        load({variable: value})
    assert variable in str(error.value)
    assert repr(value) in str(error.value)
    assert says in str(error.value)
    argument = variable.removeprefix("COSTSPAN_").lower()
    with pytest.raises(SettingsError, match=f"^{argument}="):
        load({}, **{argument: value})


def test_a_host_is_compared_in_lower_case_and_a_dict_of_them_is_checked_too():
    assert load({"COSTSPAN_PROVIDERS": "LLM.Corp.Example=vLLM"}).providers == {"llm.corp.example": "vLLM"}
    assert load({}, providers={"LLM.Corp.Example": "vllm", "[::1]:8000": "vllm"}).providers["llm.corp.example"] == "vllm"
    with pytest.raises(SettingsError, match=r"^providers=.*leave out scheme"):
        load({}, providers={"https://llm.corp.example": "vllm"})


def test_an_unknown_argument_is_named_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"unknown setting teem.*metric_labels"):
        costspan.instrument(teem="x")
    assert not hasattr(costspan, "teem")


@pytest.mark.parametrize("name", ["secret", "hash_users"])
def test_a_secret_is_never_shown(name: str):
    settings = load({}, **{name: "hunter2"})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


@pytest.mark.parametrize("name", ["secret", "hash_users", "audit_secret"])
def test_white_space_is_no_secret(name: str):
    with pytest.raises(SettingsError, match=r"\*\*\*: white space is no secret"):
        load({f"COSTSPAN_{name.upper()}": " "})


@given(
    st.dictionaries(st.sampled_from([f"COSTSPAN_{name.upper()}" for name in Settings.__struct_fields__]), st.text(max_size=20))
)
def test_any_environment_gives_settings_or_an_error_that_names_one(environment: dict[str, Any]):
    try:
        found = load(environment)
    except SettingsError as error:
        said = str(error)
    else:
        said = f"COSTSPAN_ {found}"
    assert "COSTSPAN_" in said
