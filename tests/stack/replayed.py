"""Prometheus over a history of troubles, with the shipped rules."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from stack import history
from stack.parts import DEPLOY, LEFT_OUT, Collector, Prometheus
from stack.processes import eventually

RULES = DEPLOY / "prometheus" / "rules" / "costspan.yaml"
NOBODY = cast("Collector", SimpleNamespace(metrics_port=1, self_port=1))
"""In the Collector's place: what is scraped is in the history already."""
ROUNDS = 3


def take_rules_without_waits(folder: Path) -> None:
    """The shipped rules for the Prometheus in `folder`, but evaluated every second, and none of them waiting."""
    text = RULES.read_text()
    for old, new in LEFT_OUT["rules"]["replaced"]:
        assert old in text, f"left_out.toml replaces {old!r}, which costspan.yaml does not have"
        text = text.replace(old, new)
    (folder / "rules").unlink()
    (folder / "rules").mkdir()
    (folder / "rules" / "costspan.yaml").write_text(text)


class Replayed(Prometheus):
    """Prometheus over a history, with the shipped rules evaluated every second, and none of them waiting."""

    def __init__(self, folder: Path, alertmanager: int = 1) -> None:
        super().__init__(folder, NOBODY, alertmanager)
        self._data = folder / "data"
        take_rules_without_waits(folder)
        self.process.command.append("--rules.alert.resend-delay=1s")  # the first may come before Alertmanager is known

    def holds(self, series: Mapping[str, list[str]]) -> None:
        """Gives it a history, before it is started."""
        history.write(self._data, series)

    def firing(self) -> list[dict[str, str]]:
        """Labels of the alerts that fire."""
        return [alert["labels"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"]

    def wait_rounds(self, more: int) -> None:
        """Until every group has been evaluated so many times more."""
        before = {group["name"]: group["lastEvaluation"] for group in self.ask("rules")["groups"]}
        for _ in range(more):
            later = eventually(
                lambda: {group["name"]: group["lastEvaluation"] for group in self.ask("rules")["groups"]},
                lambda found, before=before: all(found[name] > at for name, at in before.items()),
                what="every group is evaluated",
            )
            before = later
