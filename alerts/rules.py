"""The alert rules, from thresholds.toml. Names of metrics and labels come from `costspan.names`, as on the boards."""

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from costspan import names
from costspan.names import (
    ATTEMPT_COUNT,
    CALLS,
    DURATION,
    INTERNAL_ERRORS,
    LABEL_OVERFLOW,
    PRICE_AGE,
    SPEND,
    USED_CACHE_READ,
    USED_INPUT,
)

Severity = Literal["critical", "warning", "info"]
Thresholds = dict[str, dict[str, float]]


def label(attribute: str) -> str:
    """As the Collector writes it for Prometheus."""
    return attribute.replace(".", "_")


TEAM, SERVICE, PROVIDER = label(names.TEAM), label(names.SERVICE_NAME), label(names.PROVIDER)
MODEL, ERROR, STATUS, STATE = (
    label(names.REQUEST_MODEL),
    label(names.ERROR_TYPE),
    label(names.HTTP_STATUS),
    label(names.COST_STATE),
)
DAY: Final = 86_400


class Alert(NamedTuple):
    """One rule. `topic` is what Alertmanager inhibits within; `wait` how long it must hold, in minutes."""

    name: str
    severity: Severity
    topic: str
    expression: str
    wait: float
    summary: str
    description: str

    def as_rule(self, runbooks: str) -> dict[str, Any]:
        """As Prometheus reads it. `runbooks`: where docs/runbooks.md is to be had."""
        rule: dict[str, Any] = {"alert": self.name, "expr": self.expression}
        if self.wait:
            rule["for"] = f"{self.wait:g}m"
        rule["labels"] = {"severity": self.severity, "topic": self.topic}
        anchor = f"{runbooks}#{self.name.lower()}"
        rule["annotations"] = {"summary": self.summary, "description": self.description, "runbook_url": anchor}
        return rule


def _more(name: str, window: str, *by: str, only: str = "", offset: str = "") -> str:
    """How much a counter grew in `window`."""
    selector = f"{name}{{{only}}}" if only else name
    back = f" offset {offset}" if offset else ""
    grown = f"increase({selector}[{window}]{back})"
    return f"sum by ({', '.join(by)}) ({grown})" if by else f"sum({grown})"


def groups(limits: Thresholds) -> dict[str, list[Alert]]:
    """All rules by the group that they are evaluated in."""
    return {
        "spend": [*_spend(limits["spend"]), *_model(limits["model"])],
        "calls": [*_errors(limits["errors"]), *_latency(limits["latency"]), *_limits(limits["limits"])],
        "figures": [*_caching(limits["caching"]), *_prices(limits["prices"])],
        "telemetry": list(_telemetry(limits["telemetry"])),
    }


def _spend(at: dict[str, float]) -> Iterator[Alert]:
    spend = SPEND.prometheus
    told = 'US dollars {{ $value | printf "%.2f" }}'
    for window, word, whole, team in (
        ("1h", "Hour", at["an_hour_usd"], at["an_hour_by_team_usd"]),
        ("24h", "Day", at["a_day_usd"], at["a_day_by_team_usd"]),
    ):
        period = "hour" if word == "Hour" else "day"
        yield Alert(
            f"CostspanSpend{word}",
            "critical",
            "spend",
            f"{_more(spend, window)} > {whole:g}",
            0,
            f"{told} in the last {period}, all teams together",
            f"More than {whole:g} US dollars.",
        )
        yield Alert(
            f"CostspanTeamSpend{word}",
            "warning",
            "spend",
            f"{_more(spend, window, TEAM)} > {team:g}",
            0,
            f"{told} in the last {period}, by team {{{{ $labels.{TEAM} }}}}",
            f"More than {team:g} US dollars by one team.",
        )
    now, before = _more(spend, "1h", TEAM), _more(spend, "1h", TEAM, offset="1w")
    yield Alert(
        "CostspanSpendAnomaly",
        "warning",
        "spend",
        f"{now} > {at['anomaly_times']:g} * {before} and {now} - {before} > {at['anomaly_floor_usd']:g}",
        at["anomaly_wait_minutes"],
        f"Team {{{{ $labels.{TEAM} }}}} spends far more than in this hour last week",
        f"{told} in the last hour: more than {at['anomaly_times']:g} times as much.",
    )


def _model(at: dict[str, float]) -> Iterator[Alert]:
    now = _more(SPEND.prometheus, "1h", MODEL)
    before = f"({_more(SPEND.prometheus, '24h', MODEL, offset='1h')} / 24)"
    share = f"{now} / scalar({_more(SPEND.prometheus, '1h')}) > {at['runaway_share']:g}"
    grown = f"({now} > {at['runaway_growth_times']:g} * {before} or {now} unless {before})"
    yield Alert(
        "CostspanRunawayModel",
        "critical",
        "model",
        f"{share} and {grown} and {now} > {at['runaway_floor_usd']:g}",
        0,
        f"Model {{{{ $labels.{MODEL} }}}} takes {{{{ $value | humanizePercentage }}}} of the last hour's spend",
        f"And {at['runaway_growth_times']:g} times what it took in a mean hour of the day before.",
    )


def _burn(topic: str, bad: str, whole: str, *, at: dict[str, float], budget: float, what: str) -> Iterator[Alert]:
    """Two burn rates over two windows each: the long one shows that it matters, the short one that it goes on.

    Source: The Site Reliability Workbook, chapter 5.
    """
    enough = f"{_more(CALLS.prometheus, '1h', SERVICE)} > {at['least_calls_an_hour']:g}"
    for word, severity, times, windows in (
        ("Fast", "critical", at["fast_burn_times"], ("1h", "5m")),
        ("Slow", "warning", at["slow_burn_times"], ("6h", "30m")),
    ):
        burning = " and ".join(f"{bad.format(w=w)} / {whole.format(w=w)} > {times * budget:g}" for w in windows)
        yield Alert(
            f"Costspan{topic.capitalize()}Burn{word}",
            "critical" if severity == "critical" else "warning",
            topic,
            f"{burning} and {enough}",
            0,
            f"{{{{ $value | humanizePercentage }}}} of calls by {{{{ $labels.{SERVICE} }}}} {what}",
            f"The budget of {budget:.2%} burns at more than {times:g} times over {windows[0]} and {windows[1]}.",
        )


def _errors(at: dict[str, float]) -> Iterator[Alert]:
    failed, calls = f'{ERROR}!=""', CALLS.prometheus
    bad = f"sum by ({SERVICE}) (rate({calls}{{{{{failed}}}}}[{{w}}]))"
    whole = f"sum by ({SERVICE}) (rate({calls}[{{w}}]))"
    yield from _burn("errors", bad, whole, at=at, budget=1 - at["slo_success_share"], what="fail")


def _latency(at: dict[str, float]) -> Iterator[Alert]:
    seconds = at["slo_seconds"]
    if seconds not in DURATION.buckets:
        raise ValueError(f"thresholds.toml: latency.slo_seconds {seconds:g} is none of the buckets {DURATION.buckets}")
    whole = f"sum by ({SERVICE}) (rate({DURATION.prometheus}_count[{{w}}]))"
    within = f'sum by ({SERVICE}) (rate({DURATION.prometheus}_bucket{{{{le="{seconds:g}"}}}}[{{w}}]))'
    yield from _burn(
        "latency", f"({whole} - {within})", whole, at=at, budget=1 - at["slo_share"], what=f"take more than {seconds:g} s"
    )


def _limits(at: dict[str, float]) -> Iterator[Alert]:
    by, attempts = (PROVIDER, MODEL), ATTEMPT_COUNT.prometheus
    limited = f'{STATUS}="429"'
    share = f"{_more(attempts, '10m', *by, only=limited)} / {_more(attempts, '10m', *by)}"
    enough = f"{_more(attempts, '1h', *by)} > {at['least_attempts_an_hour']:g}"
    which = f"{{{{ $labels.{PROVIDER} }}}} {{{{ $labels.{MODEL} }}}}"
    yield Alert(
        "CostspanRateLimited",
        "warning",
        "limits",
        f"{share} > {at['rate_limited_share']:g} and {enough}",
        at["wait_minutes"],
        f"{which} refuses {{{{ $value | humanizePercentage }}}} of attempts for their rate",
        "Attempts answered 429 in the last 10 minutes.",
    )
    a_call = f"{_more(attempts, '10m', *by)} / {_more(CALLS.prometheus, '10m', *by)}"
    yield Alert(
        "CostspanRetryStorm",
        "warning",
        "limits",
        f"{a_call} > {at['retry_storm_attempts_a_call']:g} and {enough}",
        at["wait_minutes"],
        f'{which} needs {{{{ $value | printf "%.1f" }}}} attempts a call',
        "Retries multiply load, and some of them are billed.",
    )


def _caching(at: dict[str, float]) -> Iterator[Alert]:
    def share(offset: str = "") -> str:
        read, whole = (_more(metric.prometheus, "1h", MODEL, offset=offset) for metric in (USED_CACHE_READ, USED_INPUT))
        return f"({read} / {whole})"

    enough = f"{_more(USED_INPUT.prometheus, '1h', MODEL)} > {at['least_input_tokens_an_hour']:.0f}"
    yield Alert(
        "CostspanCacheHitDrop",
        "warning",
        "caching",
        f"{share('1d')} - {share()} > {at['drop_share']:g} and {enough}",
        0,
        f"{{{{ $labels.{MODEL} }}}} reads {{{{ $value | humanizePercentage }}}} less of its input from caches than a day ago",
        "A prompt's beginning has changed, or caching was lost: the same input costs more.",
    )


def _prices(at: dict[str, float]) -> Iterator[Alert]:
    calls, by = CALLS.prometheus, (PROVIDER, MODEL)
    unpriced = _more(calls, "1h", *by, only=f'{STATE}="{names.UNPRICED}"')
    yield Alert(
        "CostspanUnpricedModel",
        "warning",
        "prices",
        f"{unpriced} > {at['unpriced_calls_an_hour']:g}",
        0,
        f"{{{{ $labels.{PROVIDER} }}}} {{{{ $labels.{MODEL} }}}} has no price: spend is too low",
        '{{ $value | printf "%.0f" }} calls in the last hour cost an unknown amount.',
    )
    unknown = _more(calls, "1h", PROVIDER, only=f'{STATE}=~"{names.UNMETERED}|{names.PARTIAL}"')
    whole = _more(calls, "1h", PROVIDER)
    yield Alert(
        "CostspanUnmeteredShare",
        "warning",
        "prices",
        f"{unknown} / {whole} > {at['unmetered_share']:g} and {whole} > {at['least_calls_an_hour']:g}",
        0,
        f"{{{{ $value | humanizePercentage }}}} of calls to {{{{ $labels.{PROVIDER} }}}} say no usage",
        "What they cost is unknown.",
    )
    yield Alert(
        "CostspanPriceBookStale",
        "info",
        "prices",
        f"max by ({SERVICE}) ({PRICE_AGE.prometheus}) > {at['book_age_days'] * DAY:.0f}",
        0,
        f"{{{{ $labels.{SERVICE} }}}} prices calls with a book {{{{ $value | humanizeDuration }}}} old",
        "Newer models are unpriced with it.",
    )


def _telemetry(at: dict[str, float]) -> Iterator[Alert]:
    window, age = f"{at['silent_minutes']:g}m", PRICE_AGE.prometheus
    yield Alert(
        "CostspanTelemetrySilent",
        "critical",
        "telemetry",
        f"absent_over_time({age}[{window}]) and on() (count(max_over_time({age}[2h] offset {window})) > 0)",
        0,
        f"No program has sent metrics for {window}",
        "Programs, the network to the Collector, the Collector, or its scrape: one of them is down.",
    )
    yield Alert(
        "CostspanLabelOverflow",
        "warning",
        "telemetry",
        f"sum by ({SERVICE}, {label(names.LABEL_NAME)}) (increase({LABEL_OVERFLOW.prometheus}[15m])) > 0",
        0,
        f"{{{{ $labels.{SERVICE} }}}} folds values of {{{{ $labels.{label(names.LABEL_NAME)} }}}} into other",
        "Totals stay right; who they belong to is lost in metrics, not in the ledger.",
    )
    yield Alert(
        "CostspanInternalErrors",
        "info",
        "telemetry",
        f"sum by ({SERVICE}, {label(names.ERROR_WHERE)}) (increase({INTERNAL_ERRORS.prometheus}[15m])) > 0",
        0,
        f"costspan failed in {{{{ $labels.{SERVICE} }}}}",
        "The program was not affected; some facts of its calls may be missing.",
    )
    yield Alert(
        "CostspanQueueFilling",
        "warning",
        "telemetry",
        f"max by (exporter) (otelcol_exporter_queue_size / otelcol_exporter_queue_capacity) > {at['queue_fill_share']:g}",
        5,
        "The Collector's queue to {{ $labels.exporter }} is {{ $value | humanizePercentage }} full",
        "Full, it refuses: programs then lose spans.",
    )
