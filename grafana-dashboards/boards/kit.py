"""What all boards are made of: variables, queries in the names that costspan emits, and panels that lack nothing.

A panel has a unit, a description, a data-source variable; rates are over ``$__rate_interval``, totals over ``$__range``.
No board spells out a metric or a label: both come from `costspan.names`.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import common as builders
from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from costspan import names
from costspan.names import Metric, prometheus_label

PROMETHEUS: Final = "costspan-prometheus"
TEMPO: Final = "costspan-tempo"
CLICKHOUSE: Final = "costspan-clickhouse"
WIDTH: Final = 24
Kind = Literal["timeseries", "stat", "table", "heatmap"]


SERVICE: Final = prometheus_label(names.SERVICE_NAME)
ENVIRONMENT: Final = prometheus_label(names.DEPLOYMENT_ENVIRONMENT)
TEAM: Final = prometheus_label(names.TEAM)
PROJECT: Final = prometheus_label(names.PROJECT)
PROVIDER: Final = prometheus_label(names.PROVIDER)
MODEL: Final = prometheus_label(names.REQUEST_MODEL)
ERROR: Final = prometheus_label(names.ERROR_TYPE)
STATUS: Final = prometheus_label(names.HTTP_STATUS)
STATE: Final = prometheus_label(names.COST_STATE)
MODALITY: Final = prometheus_label(names.TOKEN_MODALITY)
CURRENCY: Final = prometheus_label(names.COST_CURRENCY)

VARIABLES: Final = (
    ("environment", "Environment", ENVIRONMENT),
    ("service", "Service", SERVICE),
    ("team", "Team", TEAM),
    ("project", "Project", PROJECT),
    ("model", "Model", MODEL),
)
ON_CALLS: Final = tuple(f'{name}=~"${variable}"' for variable, _, name in VARIABLES)
"""What every query about calls filters by: "All" is ``.*``, which takes calls that have no such label, too."""
ON_ATTEMPTS: Final = tuple(f'{name}=~"${variable}"' for variable, _, name in VARIABLES if name not in (TEAM, PROJECT))
"""Attempts are counted by provider and model; their resource gives the rest."""


def series(metric: Metric, *conditions: str, suffix: str = "", filters: Sequence[str] = ON_CALLS) -> str:
    """A selector of `metric` under the board's variables."""
    return f"{metric.prometheus}{suffix}{{{', '.join((*filters, *conditions))}}}"


def rate(metric: Metric, *conditions: str, suffix: str = "", filters: Sequence[str] = ON_CALLS) -> str:
    return f"rate({series(metric, *conditions, suffix=suffix, filters=filters)}[$__rate_interval])"


def increase(metric: Metric, *conditions: str, suffix: str = "", filters: Sequence[str] = ON_CALLS) -> str:
    return f"increase({series(metric, *conditions, suffix=suffix, filters=filters)}[$__range])"


def total(expression: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) ({expression})" if by else f"sum({expression})"


def quantile(share: float, metric: Metric, *by: str) -> str:
    return f"histogram_quantile({share}, {total(rate(metric, suffix='_bucket'), 'le', *by)})"


def ratio(part: str, whole: str) -> str:
    """A share; nothing where there is nothing to share, rather than 0 / 0."""
    return f"{part} / ({whole} > 0)"


class Query:
    """One query of a panel, and how its series are called."""

    def __init__(self, expression: str, legend: str = "", *, instant: bool = False, exemplar: bool = False) -> None:
        self.expression, self.legend, self.instant, self.exemplar = expression, legend, instant, exemplar


def _target(query: Query, place: int, kind: Kind) -> prometheus.Dataquery:
    built = prometheus.Dataquery().expr(query.expression).ref_id(chr(ord("A") + place)).legend_format(query.legend or "__auto")
    built = built.instant() if query.instant or kind == "table" else built.range()
    if query.exemplar:
        built = built.exemplar(True)
    return built.format(
        {"table": PromQueryFormat.TABLE, "heatmap": PromQueryFormat.HEATMAP}.get(kind, PromQueryFormat.TIME_SERIES)
    )


SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${prometheus}")
_KINDS: Final[dict[Kind, Any]] = {
    "timeseries": timeseries.Panel,
    "stat": stat.Panel,
    "table": table.Panel,
    "heatmap": heatmap.Panel,
}


def panel(
    kind: Kind,
    title: str,
    description: str,
    unit: str,
    *queries: Query | Dataquery,
    width: int = 12,
    height: int = 8,
    source: models.DataSourceRef = SOURCE,
    stacked: bool = False,
    renamed: dict[str, str] | None = None,
) -> Any:
    """A panel. `renamed`: columns of a table and what they are called."""
    made = _KINDS[kind]().title(title).description(description).unit(unit).datasource(source).span(width).height(height)
    for place, query in enumerate(queries):
        made = made.with_target(_target(query, place, kind) if isinstance(query, Query) else Given(query))
    if kind == "timeseries":
        made = made.fill_opacity(60 if stacked else 8).show_points(common.VisibilityMode.NEVER)
        if stacked:
            made = made.stacking(builders.StackingConfig().mode(common.StackingMode.NORMAL))
    elif kind == "heatmap":
        color = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
        made = made.calculate(False).color(color).y_axis(heatmap.YAxisConfig().unit(unit))
    elif kind == "table" and len(queries) > 1:
        made = made.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    if renamed:
        hidden = {"Time": True}
        options = {"excludeByName": hidden, "renameByName": renamed}
        made = made.with_transformation(models.DataTransformerConfig(id_val="organize", options=options))
    return made


class Given:
    """A query that is built already, as the builders want it."""

    def __init__(self, query: Dataquery) -> None:
        self._query = query

    def build(self) -> Dataquery:
        return self._query


def source_variable(name: str, plugin: str, uid: str) -> Any:
    """Which data source a board asks; the stack's own unless another is chosen."""
    current = models.VariableOption(selected=True, text=uid, value=uid)
    return dashboard.DatasourceVariable(name).label(name.capitalize()).type(plugin).current(current)


def query_variable(name: str, title: str, of: str, after: Sequence[str]) -> Any:
    """A variable over the values of a label of the calls, narrowed by those before it."""
    filters = ", ".join(after)
    variable = dashboard.QueryVariable(name).label(title).datasource(SOURCE)
    query = {"query": f"label_values({names.CALLS.prometheus}{{{filters}}}, {of})", "refId": name}
    refresh, sort = models.VariableRefresh.ON_TIME_RANGE_CHANGED, models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    variable = variable.query(query).refresh(refresh).sort(sort).multi(True).include_all(True)
    return variable.all_value(".*").current(everything)


def board(uid: str, title: str, description: str, *, of_calls: bool = True, period: str = "now-6h") -> Any:
    """An empty board with its variables."""
    made = dashboard.Dashboard(title).uid(f"costspan-{uid}").description(description).tags(["costspan"]).readonly()
    made = made.time(period, "now").timezone("browser").refresh("30s").tooltip(models.DashboardCursorSync.CROSSHAIR)
    made = made.with_variable(source_variable("prometheus", "prometheus", PROMETHEUS))
    links = dashboard.DashboardLink("costspan").type(models.DashboardLinkType.DASHBOARDS).tags(["costspan"])
    made = made.link(links.as_dropdown(True).include_vars(True).keep_time(True))
    if of_calls:
        before: list[str] = []
        for name, label_title, of in VARIABLES:
            made = made.with_variable(query_variable(name, label_title, of, before))
            before.append(f'{of}=~"${name}"')
    return made


def add(made: Any, row: str, *panels: Any) -> Any:
    """A heading, and the panels under it."""
    made = made.with_row(dashboard.Row(row))
    for one in panels:
        made = made.with_panel(one)
    return made
