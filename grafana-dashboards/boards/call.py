"""Single calls: the failed, the slow, the expensive, and one trace in full. Tables are TraceQL."""

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard, tempo
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.tempo import SearchTableType, TempoQuery

from boards.kit import TEMPO, Given, Query, add, board, panel, quantile, rate, source_variable, total
from costspan import names
from costspan.names import CALL_COST, DURATION

TRACES: Final = models.DataSourceRef(type_val="tempo", uid="${tempo}")
SHOWN: Final = ", ".join(
    f"span.{name}"
    for name in (names.REQUEST_MODEL, names.TEAM, names.COST_AMOUNT, names.USAGE_INPUT, names.USAGE_OUTPUT, names.ERROR_TYPE)
)
MOST: Final = 50
ANY: Final = f"span.{names.OPERATION} != nil"


def build() -> Any:
    made = board("call", "costspan: one call", "From a dot on a graph to the trace of the call.", period="now-1h")
    made = made.with_variable(source_variable("tempo", "tempo", TEMPO))
    made = made.with_variable(dashboard.TextBoxVariable("trace").label("Trace id").default_value(""))
    made = add(made, "Find one", *_graphs())
    made = add(made, "Lists", *_lists())
    return add(made, "The trace", _trace())


def _graphs() -> list[Any]:
    return [
        panel(
            "timeseries",
            "Duration, 95 in 100",
            "Dots are calls: click one for its trace.",
            "s",
            Query(quantile(0.95, DURATION), "95 in 100", exemplar=True),
        ),
        panel(
            "heatmap",
            "Cost of a call",
            "Dots are calls: click one for its trace.",
            "currencyUSD",
            Query(total(rate(CALL_COST, suffix="_bucket"), "le"), "{{le}}", exemplar=True),
        ),
    ]


def _lists() -> list[Any]:
    return [
        _list("Failed", "The latest calls that ended in an error.", "status = error"),
        _list("Slow", "The latest calls of more than ten seconds.", "duration > 10s"),
        _list("Expensive", "The latest calls of more than ten US cents.", f"span.{names.COST_AMOUNT} > 0.1"),
        _list("Tried again", "The latest calls that took more than one attempt.", f"span.{names.ATTEMPTS} > 1"),
        _list(
            "Cost unknown",
            "The latest calls without a known cost.",
            f'span.{names.COST_STATE} != nil && span.{names.COST_STATE} != "{names.PRICED}"',
        ),
    ]


def _query(text: str, kind: str) -> TempoQuery:
    query = tempo.TempoQuery().ref_id("A").query_type(kind).query(text).limit(MOST).spss(1).table_type(SearchTableType.SPANS)
    return query.datasource(TRACES).build()


def _list(title: str, description: str, condition: str) -> Any:
    query = _query(f"{{ {ANY} && {condition} }} | select({SHOWN})", "traceql")
    return panel("table", title, description, "short", query, source=TRACES)


def _trace() -> Any:
    made = (
        dashboard.Panel()
        .type("traces")
        .title("Trace")
        .description("The trace whose id is above, with its failed attempts as events.")
    )
    made = made.unit("short").datasource(TRACES).span(24).height(18)
    return made.with_target(Given(_query("${trace}", "traceql")))
