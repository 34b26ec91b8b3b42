"""Who pays for what: by team, project, model and provider, and what a call costs."""

from typing import Any

from boards.kit import (
    CURRENCY,
    MODEL,
    PROJECT,
    PROVIDER,
    STATE,
    TEAM,
    Query,
    add,
    board,
    increase,
    panel,
    quantile,
    rate,
    ratio,
    total,
)
from costspan import names
from costspan.names import CALL_COST, CALLS, SPEND, SPEND_FOREIGN, USED_INPUT, USED_OUTPUT


def build() -> Any:
    made = board("cost", "costspan: cost and chargeback", "Spend by team, project, model and provider.", period="now-7d")
    made = add(made, "Chargeback", *_tables())
    made = add(made, "Over time", *_over_time())
    return add(made, "A call", *_a_call())


def _tables() -> list[Any]:
    share = f"{total(increase(SPEND), TEAM, PROJECT)} / on () group_left () ({total(increase(SPEND))} > 0)"
    columns = {TEAM: "Team", PROJECT: "Project", "Value #A": "US dollars", "Value #B": "Calls", "Value #C": "Share"}
    models = {PROVIDER: "Provider", MODEL: "Model", "Value #A": "US dollars", "Value #B": "Calls", "Value #C": "A call"}
    by_model = (PROVIDER, MODEL)
    return [
        panel(
            "table",
            "Teams and projects",
            "The chosen time. For an invoice take `costspan report chargeback`: increase() estimates.",
            "short",
            Query(total(increase(SPEND), TEAM, PROJECT)),
            Query(total(increase(CALLS), TEAM, PROJECT)),
            Query(share),
            renamed=columns,
        ),
        panel(
            "table",
            "Models",
            "The chosen time; the last column is US dollars a call.",
            "short",
            Query(total(increase(SPEND), *by_model)),
            Query(total(increase(CALLS), *by_model)),
            Query(ratio(total(increase(SPEND), *by_model), total(increase(CALLS), *by_model))),
            renamed=models,
        ),
    ]


def _over_time() -> list[Any]:
    def an_hour(*by: str) -> str:
        return f"{total(rate(SPEND), *by)} * 3600"

    week_ago = f"{total(rate(SPEND)).replace('[$__rate_interval]', '[$__rate_interval] offset 1w')} * 3600"
    return [
        panel(
            "timeseries",
            "An hour, by team",
            "US dollars an hour.",
            "currencyUSD",
            Query(an_hour(TEAM), f"{{{{{TEAM}}}}}"),
            stacked=True,
        ),
        panel(
            "timeseries",
            "An hour, by project",
            "US dollars an hour.",
            "currencyUSD",
            Query(an_hour(PROJECT), f"{{{{{PROJECT}}}}}"),
            stacked=True,
        ),
        panel(
            "timeseries",
            "An hour, by provider",
            "US dollars an hour.",
            "currencyUSD",
            Query(an_hour(PROVIDER), f"{{{{{PROVIDER}}}}}"),
            stacked=True,
        ),
        panel(
            "timeseries",
            "This week and last",
            "US dollars an hour, beside the same hour a week ago.",
            "currencyUSD",
            Query(an_hour(), "now"),
            Query(week_ago, "a week ago"),
        ),
        panel(
            "timeseries",
            "In other currencies, an hour",
            "Never added to US dollars.",
            "short",
            Query(f"{total(rate(SPEND_FOREIGN), CURRENCY)} * 3600", f"{{{{{CURRENCY}}}}}"),
        ),
        panel(
            "timeseries",
            "Calls without a price, by model",
            "What they cost is missing above. Give them one in COSTSPAN_PRICES.",
            "reqps",
            Query(total(rate(CALLS, f'{STATE}="{names.UNPRICED}"'), PROVIDER, MODEL), f"{{{{{PROVIDER}}}}} {{{{{MODEL}}}}}"),
        ),
    ]


def _a_call() -> list[Any]:
    tokens = f"({total(rate(USED_INPUT), MODEL)} + {total(rate(USED_OUTPUT), MODEL)})"
    return [
        panel(
            "heatmap",
            "Cost of a call",
            "How many calls cost how much. Dots are calls: click one for its trace.",
            "currencyUSD",
            Query(total(rate(CALL_COST, suffix="_bucket"), "le"), "{{le}}", exemplar=True),
        ),
        panel(
            "timeseries",
            "Cost of a call, 95 in 100",
            "By model.",
            "currencyUSD",
            Query(quantile(0.95, CALL_COST, MODEL), f"{{{{{MODEL}}}}}"),
        ),
        panel(
            "timeseries",
            "A million tokens",
            "What a million tokens, in and out together, cost on average.",
            "currencyUSD",
            Query(f"1e6 * {ratio(total(rate(SPEND), MODEL), tokens)}", f"{{{{{MODEL}}}}}"),
        ),
    ]
