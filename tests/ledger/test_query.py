"""What --since, --until, --by and --where take, and that nothing typed becomes SQL."""

from datetime import UTC, datetime
from typing import Any

import pytest

from costspan import names
from costspan.ledger.errors import UsageError
from costspan.ledger.query import FIELDS, instant
from costspan.ledger.serve import Server

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
INJECTIONS = [
    "1; drop table calls",
    "team) from calls; --",
    "team, (select 1)",
    "' or 1=1 --",
    "calls",
    "cost",
    "label.x' || (select 1) || '",
    'label."]',
    "label.",
    "*",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-19", datetime(2026, 11, 19)),
        ("2026-11-19T08:15", datetime(2026, 11, 19, 8, 15)),
        ("2026-11-19 08:15:30Z", datetime(2026, 11, 19, 8, 15, 30)),
        ("2026-11-19T08:15+02:00", datetime(2026, 11, 19, 6, 15)),
        ("24h", datetime(2026, 11, 19, 15, 30)),
        ("90m", datetime(2026, 11, 20, 14, 0)),
        ("7d", datetime(2026, 11, 13, 15, 30)),
        ("2w", datetime(2026, 11, 6, 15, 30)),
        ("today", datetime(2026, 11, 20)),
        ("Yesterday", datetime(2026, 11, 19)),
        ("now", datetime(2026, 11, 20, 15, 30)),
    ],
)
def test_times_are_read_as_utc(text: str, expected: datetime) -> None:
    assert instant(text, "--since", NOW) == expected


@pytest.mark.parametrize("text", ["last night", "24", "h", "2026-13-01", "999999w", "-3d", "'; drop table calls"])
def test_what_is_no_time_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(UsageError, match=r"--until.*Accepted: a date .2026-11-20.*7d"):
        instant(text, "--until", NOW)


@pytest.fixture(scope="module")
def ledger(otlp: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Server(tmp_path_factory.mktemp("query") / "ledger.duckdb", http_port=0, grpc_port=0) as server:
        label = names.LABEL_PREFIX + "feature"
        otlp.send(
            server,
            otlp.call({names.TEAM: "search", names.USAGE_INPUT: 10, label: "chat", names.REQUEST_STREAM: True}, latency=2.0),
            otlp.call({names.TEAM: "ads", names.USAGE_INPUT: 20, names.COST_AMOUNT: 0.7}, seconds=3600),
            otlp.failed({names.TEAM: None, names.HTTP_STATUS: 500}, seconds=7200),
        )
        yield server


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (["team=search"], 1),
        (["team!=search"], 2),
        (["team="], 1),
        (["team!="], 2),
        (["team = ads "], 1),
        (["cost>=0.7"], 1),
        (["cost<0.7"], 1),
        (["cost=0.001"], 1),
        (["input_tokens>10"], 1),
        (["tokens<31"], 1),
        (["latency>1.5"], 1),
        (["status=500"], 1),
        (["failed=true"], 1),
        (["failed!=true"], 2),
        (["stream=yes"], 1),
        (["stream=no"], 2),
        (["label.feature=chat"], 1),
        (["label.feature="], 2),
        (["day=2026-11-18"], 3),
        (["hour=2026-11-18 13:00"], 1),
        (["team=search", "service=shop"], 1),
        (["team=search", "team=ads"], 0),
        (["team=' or 1=1 --"], 0),
        (["model=x'); drop table calls; --"], 0),
        (["team=a=b"], 0),
    ],
)
def test_conditions_find_their_calls(ledger: Server, where: list[str], found: int) -> None:
    assert ledger.report("calls", where=tuple(where)).calls == found


def test_every_field_can_be_asked_for(ledger: Server) -> None:
    value = {"text": "x", "number": "1", "flag": "true"}
    conditions = [f"{name}{operator}{value[field.kind]}" for name, field in FIELDS.items() for operator in ("=", "!=")]
    ledger.report("spend", where=(*conditions, *(f"{name}=" for name in FIELDS)))


def test_every_text_but_the_currency_can_be_grouped_by(ledger: Server) -> None:
    texts = [name for name, field in FIELDS.items() if field.kind == "text" and name != "currency"]
    texts += ["status", "stream", "batch", "demo", "label.feature"]
    for start in range(0, len(texts), 4):
        by = tuple(texts[start : start + 4])
        result = ledger.report("spend", by=by)
        assert tuple(column.name for column in result.columns[: len(by)]) == by
        assert sum(row["calls"] for row in result.as_dicts()) == 3


@pytest.mark.parametrize("name", [*INJECTIONS, "currency"])
def test_grouping_by_what_is_no_field_is_refused(ledger: Server, name: str) -> None:
    with pytest.raises(UsageError):
        ledger.report("spend", by=(name,))
    assert ledger.report("spend").calls == 3


@pytest.mark.parametrize("name", [name for name in INJECTIONS if name != "cost"])
def test_a_condition_on_what_is_no_field_is_refused(ledger: Server, name: str) -> None:
    with pytest.raises(UsageError):
        ledger.report("spend", where=(f"{name}=1",))
    assert ledger.report("spend").calls == 3


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("teem=x", "Did you mean team"),
        ("team", "not FIELD=VALUE"),
        ("cost=cheap", "not a number"),
        ("cost=nan", "not a usable number"),
        ("cost=1e400", "not a usable number"),
        ("failed=perhaps", "neither true nor false"),
        ("failed>true", "yes or no"),
        ("label.a b=c", "not FIELD=VALUE"),
    ],
)
def test_a_condition_that_makes_no_sense_says_what_would(ledger: Server, where: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ledger.report("spend", where=(where,))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"since": "2026-11-19", "until": "2026-11-18"}, "period is empty"),
        ({"by": ("team", "team")}, "twice"),
        ({"by": ("team", "model", "user", "key", "day")}, "4 fields at most"),
        ({"limit": -1}, "--limit"),
    ],
)
def test_options_that_make_no_sense_are_refused(ledger: Server, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ledger.report("spend", **options)


def test_the_period_includes_its_beginning_and_not_its_end(ledger: Server) -> None:
    assert ledger.report("spend", since="2026-11-18T12:00", until="2026-11-18T13:00").calls == 1
    assert ledger.report("spend", since="2026-11-18T13:00").calls == 2
    assert ledger.report("spend", until="2026-11-18").calls == 0
