"""Alertmanager's own file: who hears of what, in which groups, and what is not said twice."""

import pytest

from stack.parts import Alertmanager
from stack.processes import eventually
from stack.receiver import Receiver


def alert(name: str, severity: str, topic: str, team: str = "") -> dict[str, str]:
    labels = {"alertname": name, "severity": severity, "topic": topic}
    return {**labels, "costspan_team": team} if team else labels


def heard(receiver: Receiver) -> set[tuple[str, str]]:
    return {(labels["alertname"], labels.get("costspan_team", "")) for labels in receiver.alerts("/webhook")}


def test_the_worse_of_two_alerts_on_one_topic_of_a_team_is_said_and_each_team_has_its_own_message(
    alertmanager: Alertmanager, receiver: Receiver
) -> None:
    alertmanager.post(
        alert("SpendHigh", "critical", "spend", "growth"),
        alert("SpendOdd", "warning", "spend", "growth"),
        alert("SpendOdd", "warning", "spend", "search"),
        alert("PriceOld", "info", "prices"),
    )
    wanted = {("SpendHigh", "growth"), ("SpendOdd", "search"), ("PriceOld", "")}
    eventually(lambda: heard(receiver), lambda said: said >= wanted)
    assert heard(receiver) == wanted
    assert all(len(body["alerts"]) == 1 for path, body in receiver.got if path == "/webhook")
    slack = eventually(
        lambda: [body["attachments"][0]["title"] for path, body in receiver.got if path == "/slack"], lambda got: len(got) >= 2
    )
    assert {title.partition(" ")[2] for title in slack} == {"SpendHigh (growth)", "SpendOdd (search)"}


@pytest.mark.parametrize(
    ("team", "in_slack"),
    [
        ('a "quoted"\nsecond line \\ 日本 \U0001f600', 'a "quoted"\nsecond line \\ 日本 \U0001f600'),
        ("<!channel> & <http://example.com|all is well>", "&lt;!channel&gt; &amp; &lt;http://example.com|all is well&gt;"),
        ("{{ $value }} {{ .Labels }}", "{{ $value }} {{ .Labels }}"),
        ("x" * 256, "x" * 256),
    ],
)
def test_a_team_of_any_name_is_told_as_it_is_and_calls_nobody_else(
    alertmanager: Alertmanager, receiver: Receiver, team: str, in_slack: str
) -> None:
    alertmanager.post(alert("SpendOdd", "warning", "spend", team))
    eventually(lambda: heard(receiver), lambda said: said == {("SpendOdd", team)})
    [title] = eventually(lambda: [body["attachments"][0]["title"] for path, body in receiver.got if path == "/slack"])
    assert title == f"FIRING SpendOdd ({in_slack})"


def test_where_nothing_arrives_only_that_is_said(alertmanager: Alertmanager, receiver: Receiver) -> None:
    alertmanager.post(
        alert("CostspanTelemetrySilent", "critical", "telemetry"), alert("CacheHitsDropped", "warning", "caching", "search")
    )
    eventually(lambda: heard(receiver), lambda said: len(said) >= 1)
    assert alertmanager.suppressed() == {"CacheHitsDropped"}
    assert heard(receiver) == {("CostspanTelemetrySilent", "")}
