"""What fails, what is tried again, and how near the limits are."""

from typing import Any

from boards.kit import (
    ERROR,
    MODEL,
    ON_ATTEMPTS,
    PROVIDER,
    STATUS,
    TEAM,
    Query,
    add,
    board,
    increase,
    panel,
    rate,
    ratio,
    total,
)
from costspan import names
from costspan.names import ATTEMPT_COUNT, CALLS, REMAINING_REQUESTS, REMAINING_TOKENS, Metric, prometheus_label

FAILED = f'{ERROR}!=""'
LIMITED = f'{STATUS}="429"'
KEY = prometheus_label(names.API_KEY)


def build() -> Any:
    made = board("errors", "costspan: errors and retries", "Failed calls, attempts behind them, rate limits.")
    made = add(made, "Calls", *_calls())
    made = add(made, "Attempts", *_attempts())
    return add(made, "Limits", *_limits())


def _calls() -> list[Any]:
    share = ratio(total(rate(CALLS, FAILED), MODEL), total(rate(CALLS), MODEL))
    columns = {MODEL: "Model", ERROR: "Error", TEAM: "Team", "Value": "Calls"}
    return [
        panel(
            "timeseries",
            "Failed, by model",
            "Share of calls that ended in an error.",
            "percentunit",
            Query(share, f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "Failed a second, by error",
            "By error.type.",
            "reqps",
            Query(total(rate(CALLS, FAILED), ERROR), f"{{{{{ERROR}}}}}"),
        ),
        panel(
            "table",
            "What failed",
            "The chosen time.",
            "short",
            Query(f"{total(increase(CALLS, FAILED), MODEL, ERROR, TEAM)} > 0"),
            renamed=columns,
            width=24,
        ),
    ]


def _attempts() -> list[Any]:
    def of(*by: str, only: str = "") -> str:
        return total(rate(ATTEMPT_COUNT, *([only] if only else []), filters=ON_ATTEMPTS), *by)

    calls = total(rate(CALLS), MODEL)
    return [
        panel(
            "timeseries",
            "Attempts a call, by model",
            "1 is no retries. Retries of an SDK are inside one call.",
            "short",
            Query(ratio(of(MODEL), calls), f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "Attempts a second, by status",
            "HTTP status of each attempt; empty: none came.",
            "reqps",
            Query(of(STATUS), f"{{{{{STATUS}}}}}"),
            stacked=True,
        ),
        panel(
            "timeseries",
            "Refused for their rate, by model",
            "Share of attempts answered 429.",
            "percentunit",
            Query(ratio(of(MODEL, only=LIMITED), of(MODEL)), f"{{{{{MODEL}}}}}"),
            width=24,
        ),
    ]


def _limits() -> list[Any]:
    def left(metric: Metric) -> str:
        return f"min by ({PROVIDER}, {MODEL}, {KEY}) ({metric.prometheus}{{{', '.join(ON_ATTEMPTS)}}})"

    legend = f"{{{{{PROVIDER}}}}} {{{{{MODEL}}}}} {{{{{KEY}}}}}"
    return [
        panel(
            "timeseries",
            "Requests left",
            "As the provider's reply headers last said.",
            "short",
            Query(left(REMAINING_REQUESTS), legend),
        ),
        panel(
            "timeseries",
            "Tokens left",
            "As the provider's reply headers last said.",
            "short",
            Query(left(REMAINING_TOKENS), legend),
        ),
    ]
