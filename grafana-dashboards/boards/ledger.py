"""The ledger in ClickHouse (profile `scale`): exact totals, users, and what metrics don't carry."""

from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard as models

from boards.kit import CLICKHOUSE, add, board, panel, source_variable
from costspan import ledger

PRELUDE: Final = "\n".join(
    line
    for line in (Path(ledger.__file__).parent / "schema" / "clickhouse" / "prelude.sql").read_text().splitlines()
    if not line.lstrip().startswith("--")
)
"""What the ledger's own reports read: a background answer that was fetched three times is paid once."""
PERIOD: Final = "started_at >= $__fromTime and started_at < $__toTime"
SOURCE: Final = models.DataSourceRef(type_val="grafana-clickhouse-datasource", uid="${clickhouse}")
TABLE, SERIES = 1, 0


class ClickHouseQuery(Dataquery):
    """A query of Grafana's ClickHouse plugin, which the SDK has no builder for (plugin grafana-clickhouse-datasource 4)."""

    def __init__(self, sql: str, shape: int) -> None:
        self._sql, self._shape = sql, shape

    def to_json(self) -> dict[str, object]:
        kind = "table" if self._shape == TABLE else "timeseries"
        return {
            "refId": "A",
            "editorType": "sql",
            "queryType": kind,
            "rawSql": self._sql,
            "format": self._shape,
            "datasource": SOURCE,
        }


def build() -> Any:
    made = board("ledger", "costspan: ledger", "Calls in ClickHouse: exact totals.", of_calls=False, period="now-30d")
    made = made.with_variable(source_variable("clickhouse", "grafana-clickhouse-datasource", CLICKHOUSE))
    made = add(made, "Spend", *_spend())
    return add(made, "Calls", *_calls())


def _table(
    title: str,
    description: str,
    columns: str,
    group: str,
    *,
    where: str = "",
    order: str = "cost desc nulls last",
    width: int = 12,
) -> Any:
    conditions = f"{PERIOD} and {where}" if where else PERIOD
    grouped = f" group by {group}" if group else ""
    sql = f"with {PRELUDE}\nselect {columns} from all_calls where {conditions}{grouped} order by {order} limit 100"
    return panel("table", title, description, "short", ClickHouseQuery(sql, TABLE), source=SOURCE, width=width)


def _spend() -> list[Any]:
    sums = "currency, sum(cost) as cost, count() as calls, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens"
    daily = (
        f"with {PRELUDE}\nselect toStartOfDay(started_at) as time, team, sum(cost) as cost from all_calls "
        f"where {PERIOD} and currency = 'USD' group by time, team order by time"
    )
    return [
        panel(
            "timeseries",
            "A day, by team",
            "US dollars, exact.",
            "currencyUSD",
            ClickHouseQuery(daily, SERIES),
            source=SOURCE,
            width=24,
            stacked=True,
        ),
        _table("Teams and projects", "Exact, a row a currency.", f"team, project, {sums}", "team, project, currency"),
        _table("Users", "Exact, a row a currency.", f"user_id, {sums}", "user_id, currency"),
        _table("Models", "Exact, a row a currency.", f"provider, request_model, {sums}", "provider, request_model, currency"),
        _table(
            "Keys",
            "Exact, a row a currency. A key is its fingerprint.",
            f"key_label as key, {sums}",
            "key, currency",
        ),
    ]


def _calls() -> list[Any]:
    shown = (
        "started_at, service, team, user_id, request_model, latency, input_tokens, output_tokens, cost, currency, "
        "cost_state, error_type, trace_id"
    )
    doubt = "cost_state, provider, request_model, count() as calls"
    return [
        _table("Most expensive", "Single calls.", shown, "", width=24),
        _table(
            "Cost unknown",
            "Calls without a known cost, by reason.",
            doubt,
            "cost_state, provider, request_model",
            where="cost is null and cost_state is not null",
            order="calls desc",
        ),
        _table(
            "Failed",
            "By error.",
            "error_type, provider, request_model, count() as calls",
            "error_type, provider, request_model",
            where="error_type is not null",
            order="calls desc",
        ),
    ]
