"""Troubles, and the alerts that each of them raises: those that are sent, and those that another one makes superfluous."""

import random
from typing import NamedTuple

from stack.history import Phase, Traffic, since

DAY, WEEK = 1_440, 10_080
Alerts = set[tuple[str, str]]
"""The name, and the team, service, model or exporter that it is about."""


class Scenario(NamedTuple):
    """`sent` reaches the receivers, `hidden` fires and is inhibited."""

    traffic: tuple[Traffic, ...]
    sent: Alerts
    hidden: Alerts = set()  # noqa: RUF012 - never changed
    silent: float = 0
    queue: float = 0.1
    delivers: bool = True


SHOP = Traffic()
BATCH = Traffic("batch", "growth", "anthropic", "claude-sonnet-5", calls=5, cost=0.02)
TINY = Traffic("chat", "support", "google", "gemini-3-pro", calls=5, cost=0.02)
USUAL = (SHOP, BATCH, TINY)


def shop(*phases: Phase, **more: float) -> tuple[Traffic, ...]:
    """The usual, but for the shop."""
    return (SHOP._replace(phases=phases, **more), BATCH, TINY)


def batch(*phases: Phase, **more: float) -> tuple[Traffic, ...]:
    return (SHOP, BATCH._replace(phases=phases, **more), TINY)


def every(*hours: float, **different: float) -> tuple[Phase, ...]:
    """In the last seventy minutes, and so many minutes before that: what is the same every day, or week, is no anomaly."""
    return tuple(since(ago + 70, max(ago - 5, 0), **different) for ago in (0, *hours))


def dollars_an_hour(amount: float, traffic: Traffic) -> float:
    """What a call costs then."""
    return amount / 60 / (traffic.calls * (1 - traffic.failed))


def at(traffic: Traffic, an_hour: float, *phases: float) -> Traffic:
    """`traffic` at so many dollars an hour, always, or in these phases."""
    cost = dollars_an_hour(an_hour, traffic)
    return traffic._replace(phases=every(*phases, cost=cost)) if phases else traffic._replace(cost=cost)


LEAKED = Traffic("batch", "growth", "openai", "o3", calls=0, phases=(since(70, calls=30, cost=0.2),))
TRIED = Traffic("batch", "growth", "openai", "o3", calls=0, phases=(since(70, calls=10, cost=12.5 / 600),))


def busy(at: float) -> float:
    """A company's week: nights and week-ends are quiet, from 22 to 5 o'clock nobody calls, and no two hours are alike."""
    hour, day = at % 86_400 / 3_600, int(at // 86_400) % 7
    ramp = max(0.0, min(hour - 5, 3.0, 22 - hour)) / 3
    return ramp * (0.2 if day in (2, 3) else 1.0) * random.Random(int(at // 600)).uniform(0.7, 1.3)


def at_night(at: float) -> float:
    """A batch of an hour."""
    return 1.0 if 2 <= at % 86_400 / 3_600 < 3 else 0.0


RELEASED = 700
"""Minutes ago, the shop's new release took over."""
HEALTHY = (
    SHOP._replace(profile=busy, calls=60),
    SHOP._replace(profile=busy, calls=0, phases=(since(RELEASED, calls=60),), process="-2"),
    BATCH._replace(profile=at_night, calls=40),
    TINY._replace(profile=busy),
)
"""The first one ends with the release."""
SCENARIOS: dict[str, Scenario] = {
    "nothing": Scenario(USUAL, set()),
    "every team spends more than usual, as each week at this hour": Scenario(
        tuple(at(one, 75, WEEK) for one in USUAL), {("CostspanSpendHour", "")}
    ),
    "a team spends much, as each day at this hour": Scenario(
        (at(SHOP, 120, DAY, WEEK), BATCH, TINY), {("CostspanTeamSpendHour", "search")}
    ),
    "three teams spend much, day and night": Scenario(tuple(at(one, 30) for one in USUAL), {("CostspanSpendDay", "")}),
    "one team spends much, day and night": Scenario((at(SHOP, 45), BATCH, TINY), {("CostspanTeamSpendDay", "search")}),
    "a team spends more than last week, over two models": Scenario(
        (
            *USUAL,
            *(
                BATCH._replace(model=model, calls=1, phases=(since(70, calls=17),))
                for model in ("claude-haiku-5", "claude-opus-5")
            ),
        ),
        {("CostspanSpendAnomaly", "growth")},
    ),
    "two teams try a new model": Scenario(
        (*USUAL, TRIED, TRIED._replace(team="search", service="shop")), {("CostspanRunawayModel", "o3")}
    ),
    "a leaked key": Scenario(
        (*USUAL, LEAKED),
        {
            ("CostspanSpendHour", ""),
            ("CostspanTeamSpendHour", "growth"),
            ("CostspanSpendAnomaly", "growth"),
            ("CostspanRunawayModel", "o3"),
        },
    ),
    "a leaked key that nobody has named": Scenario(
        (*USUAL, LEAKED._replace(team="")),
        {("CostspanSpendHour", ""), ("CostspanRunawayModel", "o3")},
        {("CostspanTeamSpendHour", "")},  # the same money as the critical one
    ),
    "many calls fail": Scenario(
        shop(since(180, failed=0.4)), {("CostspanErrorsBurnFast", "shop")}, {("CostspanErrorsBurnSlow", "shop")}
    ),
    "some calls of one service fail, and many of another": Scenario(
        (SHOP._replace(phases=(since(180, failed=0.4),)), BATCH._replace(phases=(since(400, failed=0.09),)), TINY),
        {("CostspanErrorsBurnFast", "shop"), ("CostspanErrorsBurnSlow", "batch")},
        {("CostspanErrorsBurnSlow", "shop")},
    ),
    "most calls are slow": Scenario(
        shop(since(240, slow=0.9)), {("CostspanLatencyBurnFast", "shop")}, {("CostspanLatencyBurnSlow", "shop")}
    ),
    "many calls are slow": Scenario(shop(since(400, slow=0.4)), {("CostspanLatencyBurnSlow", "shop")}),
    "a provider refuses attempts for their rate": Scenario(
        shop(since(40, limited=1.5)), {("CostspanRateLimited", "gpt-5")}, {("CostspanRetryStorm", "gpt-5")}
    ),
    "a provider breaks off attempts": Scenario(shop(since(40, broken=1.5)), {("CostspanRetryStorm", "gpt-5")}),
    "a prompt's beginning changed": Scenario(shop(since(70, cached=0.1)), {("CostspanCacheHitDrop", "gpt-5")}),
    "a model without a price": Scenario(batch(since(70, unpriced=0.5)), {("CostspanUnpricedModel", "claude-sonnet-5")}),
    "a host that says no usage": Scenario(batch(since(70, unmetered=0.3)), {("CostspanUnmeteredShare", "anthropic")}),
    "an old price book": Scenario(shop(book_days=46), {("CostspanPriceBookStale", "shop")}),
    "nothing arrives": Scenario(
        shop(since(90, cached=0.1)), {("CostspanTelemetrySilent", "")}, {("CostspanCacheHitDrop", "gpt-5")}, silent=20
    ),
    "nothing arrives after a key has leaked": Scenario(
        (*USUAL, LEAKED),
        {("CostspanTelemetrySilent", ""), ("CostspanSpendHour", ""), ("CostspanRunawayModel", "o3")},
        {("CostspanTeamSpendHour", "growth"), ("CostspanSpendAnomaly", "growth")},
        silent=20,
    ),
    "labels overflow": Scenario(shop(since(30, folded=2)), {("CostspanLabelOverflow", "shop")}),
    "costspan fails": Scenario(shop(since(10, 9, errors=1)), {("CostspanInternalErrors", "shop")}),
    "the ledger is too slow": Scenario(USUAL, {("CostspanQueueFilling", "otlp_grpc/ledger")}, queue=0.9),
    "the ledger is down": Scenario(USUAL, {("CostspanNotDelivered", "otlp_grpc/ledger")}, delivers=False),
}
