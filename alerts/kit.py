"""What the rules are made of. Names of metrics and labels come from `costspan.names`, as on the boards."""

from typing import Any, Final, Literal, NamedTuple

from costspan import names
from costspan.names import prometheus_label

Severity = Literal["critical", "warning", "info"]
Thresholds = dict[str, dict[str, float]]
DAY: Final = 86_400


TEAM, SERVICE, PROVIDER = prometheus_label(names.TEAM), prometheus_label(names.SERVICE_NAME), prometheus_label(names.PROVIDER)
MODEL, ERROR, STATUS, STATE = (
    prometheus_label(names.REQUEST_MODEL),
    prometheus_label(names.ERROR_TYPE),
    prometheus_label(names.HTTP_STATUS),
    prometheus_label(names.COST_STATE),
)
FOLDED, WHERE = prometheus_label(names.LABEL_NAME), prometheus_label(names.ERROR_WHERE)


class Alert(NamedTuple):
    """One rule. `topic` is what Alertmanager inhibits within; `wait` how long it must hold, in minutes."""

    name: str
    severity: Severity
    topic: str
    expression: str
    wait: float
    summary: str
    description: str

    def as_rule(self, runbooks: str, keep: float) -> dict[str, Any]:
        """As Prometheus reads it. `runbooks`: where docs/runbooks.md is to be had; `keep`: how many minutes it goes on firing."""
        rule: dict[str, Any] = {"alert": self.name, "expr": self.expression}
        if self.wait:
            rule["for"] = f"{self.wait:g}m"
        if keep:
            rule["keep_firing_for"] = f"{keep:g}m"
        rule["labels"] = {"severity": self.severity, "topic": self.topic}
        anchor = f"{runbooks}#{self.name.lower()}"
        rule["annotations"] = {"summary": self.summary, "description": self.description, "runbook_url": anchor}
        return rule


def said(name: str, otherwise: str = "") -> str:
    """A label's value in a text; `otherwise` where the series has none."""
    return f'{{{{ or $labels.{name} "{otherwise}" }}}}' if otherwise else f"{{{{ $labels.{name} }}}}"


A_TEAM, A_MODEL = said(TEAM, "(no team)"), said(MODEL, "(no model)")
SHARE: Final = "{{ $value | humanizePercentage }}"
DOLLARS: Final = 'US dollars {{ $value | printf "%.2f" }}'


def more(name: str, window: str, *by: str, only: str = "", offset: str = "") -> str:
    """How much a counter grew in `window`."""
    selector = f"{name}{{{only}}}" if only else name
    back = f" offset {offset}" if offset else ""
    grown = f"increase({selector}[{window}]{back})"
    return f"sum by ({', '.join(by)}) ({grown})" if by else f"sum({grown})"


def or_zero(expression: str, of: str) -> str:
    """`expression`, and 0 for the label sets that only `of` has: a counter that never counted has no series."""
    return f"({expression} or 0 * {of})"
