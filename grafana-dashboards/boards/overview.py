"""What is spent and by whom, whether it works, and how far the figures can be trusted."""

from typing import Any

from boards.kit import ERROR, MODEL, STATE, TEAM, Query, add, board, increase, panel, quantile, rate, ratio, total
from costspan import names
from costspan.names import CALLS, SPEND, TIME_TO_FIRST_CHUNK, USED_INPUT, USED_OUTPUT

UNKNOWN = f'{STATE}=~"{names.UNPRICED}|{names.UNMETERED}|{names.PARTIAL}"'
FAILED = f'{ERROR}!=""'


def build() -> Any:
    made = board("overview", "costspan: overview", "Spend, calls, errors and the trust in them, at a glance.")
    made = add(made, "Now", *_now())
    return add(made, "Over time", *_over_time())


def _now() -> list[Any]:
    month = f"{total(rate(SPEND))} * 86400 * 30"
    return [
        panel(
            "stat",
            "Spend",
            "US dollars in the chosen time. Official totals come from the ledger.",
            "currencyUSD",
            Query(total(increase(SPEND)), instant=True),
            width=4,
            height=4,
        ),
        panel(
            "stat",
            "A month at this rate",
            "What 30 days cost if all goes on as in the last minutes.",
            "currencyUSD",
            Query(month, instant=True),
            width=4,
            height=4,
        ),
        panel(
            "stat",
            "Calls",
            "Logical calls: an SDK's retries are one call.",
            "short",
            Query(total(increase(CALLS)), instant=True),
            width=4,
            height=4,
        ),
        panel(
            "stat",
            "Failed",
            "Share of calls that ended in an error.",
            "percentunit",
            Query(ratio(total(increase(CALLS, FAILED)), total(increase(CALLS))), instant=True),
            width=4,
            height=4,
        ),
        panel(
            "stat",
            "Cost unknown",
            "Share of calls without a known cost: no price, no usage, or broken off before it.",
            "percentunit",
            Query(ratio(total(increase(CALLS, UNKNOWN)), total(increase(CALLS))), instant=True),
            width=4,
            height=4,
        ),
        panel(
            "stat",
            "First chunk, 95 in 100",
            "Time until a stream's first chunk.",
            "s",
            Query(quantile(0.95, TIME_TO_FIRST_CHUNK), instant=True),
            width=4,
            height=4,
        ),
    ]


def _over_time() -> list[Any]:
    return [
        panel(
            "timeseries",
            "Spend an hour, by team",
            "US dollars an hour.",
            "currencyUSD",
            Query(f"{total(rate(SPEND), TEAM)} * 3600", f"{{{{{TEAM}}}}}"),
            stacked=True,
        ),
        panel(
            "timeseries",
            "Spend an hour, by model",
            "US dollars an hour.",
            "currencyUSD",
            Query(f"{total(rate(SPEND), MODEL)} * 3600", f"{{{{{MODEL}}}}}"),
            stacked=True,
        ),
        panel(
            "timeseries",
            "Calls a second, by model",
            "Logical calls.",
            "reqps",
            Query(total(rate(CALLS), MODEL), f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "Failed calls a second, by error",
            "By error.type.",
            "reqps",
            Query(total(rate(CALLS, FAILED), ERROR), f"{{{{{ERROR}}}}}"),
        ),
        panel(
            "timeseries",
            "Tokens a second",
            "Input and output tokens that providers counted.",
            "short",
            Query(total(rate(USED_INPUT)), "input"),
            Query(total(rate(USED_OUTPUT)), "output"),
        ),
        panel(
            "timeseries",
            "Calls a second, by how well their cost is known",
            "Anything but priced makes spend too low.",
            "reqps",
            Query(total(rate(CALLS), STATE), f"{{{{{STATE}}}}}"),
            stacked=True,
        ),
    ]
