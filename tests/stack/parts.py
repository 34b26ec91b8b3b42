"""The parts of the stack as tests start them: the same configuration files, on ports of their own."""

import json
import sys
import time
import tomllib
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from costspan.ledger.query import Question
from costspan.ledger.report import Result
from costspan.ledger.serve import ask
from stack.processes import ROOT, Process, eventually, free_port, get, get_json, program

CONFIG = ROOT / "collector-config"
DEPLOY = ROOT / "deploy"
LEFT_OUT = tomllib.loads((Path(__file__).parent / "left_out.toml").read_text())
REDACTION_KEY = "a secret of the tests, 32 bytes or more"


def config_arguments(*names: str | Path) -> list[str]:
    """The Collector's options for these files of collector-config (a path is a file of a test), redaction with them."""
    paths = [name if isinstance(name, Path) else CONFIG / f"{name}.yaml" for name in (names[0], "redaction", *names[1:])]
    return [f"--config={path}" for path in paths]


class Collector:
    """A Collector with its queue in `folder`: killed and started again, it is the same one."""

    def __init__(self, folder: Path, *names: str | Path, **environment: str | int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.queue = folder / "queue"
        self.grpc_port, self.http_port, self.health_port, self.self_port, self.metrics_port = (free_port() for _ in range(5))
        ports = {
            "COLLECTOR_GRPC_PORT": self.grpc_port,
            "COLLECTOR_HTTP_PORT": self.http_port,
            "COLLECTOR_HEALTH_PORT": self.health_port,
            "COLLECTOR_SELF_PORT": self.self_port,
            "COLLECTOR_METRICS_PORT": self.metrics_port,
            "COLLECTOR_QUEUE_DIRECTORY": self.queue,
            "COSTSPAN_REDACTION_KEY": REDACTION_KEY,
        }
        given = {name: str(value) for name, value in {**ports, **environment}.items()}
        self.process = Process([program("costspan-collector"), *config_arguments(*names)], folder / "collector.log", given)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def start(self) -> None:
        self.process.start(f"http://127.0.0.1:{self.health_port}/")

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        self.process.stop()

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        return get(f"http://127.0.0.1:{self.metrics_port}/metrics").decode()

    def told(self, name: str) -> float:
        """A number of the Collector's own metrics, added up over its labels; 0 where it has not said it."""
        lines = get(f"http://127.0.0.1:{self.self_port}/metrics").decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))


class Ledger:
    """``costspan serve`` as a process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "ledger.duckdb"
        self.grpc_port, self.http_port = free_port(), free_port()
        ports = ["--otlp-grpc-port", str(self.grpc_port), "--otlp-http-port", str(self.http_port)]
        command = [sys.executable, "-m", "costspan", "serve", "--store", str(self.store), *ports]
        self.process = Process(command, folder / "ledger.log")

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def start(self) -> None:
        self.process.start(f"http://127.0.0.1:{self.http_port}/healthz")

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def report(self, report: str = "spend", **options: Any) -> Result:
        return ask(self.store, Question(report, **options))

    def calls(self) -> int:
        return self.report(by=()).calls

    def cost(self) -> Decimal:
        """US dollars, exact."""
        return sum((total.cost for total in self.report(by=()).totals if total.currency == "USD"), Decimal(0))


class Prometheus:
    """Prometheus with deploy/prometheus, but for what left_out.toml says; scraped and evaluated every second."""

    def __init__(
        self, folder: Path, collector: Collector, alertmanager_port: int = 1, interval: str = "1s", flags: Sequence[str] = ()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
        ports = {
            "collector_metrics": collector.metrics_port,
            "collector_self": collector.self_port,
            "alertmanager": alertmanager_port,
            "prometheus": self.port,
            "interval": interval,
        }
        for old, new in LEFT_OUT["prometheus"]["replaced"]:
            assert old in text, f"left_out.toml replaces {old!r}, which prometheus.yml does not have"
            text = text.replace(old, new.format(**ports))
        (folder / "prometheus.yml").write_text(text)
        (folder / "rules").symlink_to(DEPLOY / "prometheus" / "rules")
        command = [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--enable-feature=exemplar-storage,created-timestamp-zero-ingestion",
            *flags,
        ]
        self.process = Process(command, folder / "prometheus.log", cwd=folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process.start(f"{self.url}/-/ready")

    def stop(self) -> None:
        self.process.stop()

    def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        """An instant query: labels and value of each series."""
        answer = self.ask("query", query=text)
        return [(one["metric"], float(one["value"][1])) for one in answer["result"]]

    def value(self, text: str) -> float:
        """The one value of a query; 0 where there is none yet."""
        found = self.query(text)
        return found[0][1] if found else 0.0

    def exemplars(self, text: str) -> list[dict[str, Any]]:
        """Exemplars of the last hour's series that `text` selects."""
        now = time.time()
        answer = self.ask("query_exemplars", query=text, start=str(now - 3_600), end=str(now + 60))
        return [{**exemplar, "series": one["seriesLabels"]} for one in answer for exemplar in one["exemplars"]]

    def ask(self, what: str, **options: str) -> Any:
        """The data of one answer of the HTTP API."""
        return get_json(f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(options)}")["data"]


class Alertmanager:
    """Alertmanager with deploy/alertmanager, but for what left_out.toml says; Slack and the webhook are at `url`."""

    def __init__(self, folder: Path, url: str) -> None:
        secrets = folder / "secrets"
        secrets.mkdir(parents=True)
        for name, secret in {"webhook_url": f"{url}/webhook", "slack_url": f"{url}/slack", "smtp_password": "x"}.items():
            (secrets / name).write_text(secret)
        self.port = free_port()
        text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
        for old, new in LEFT_OUT["alertmanager"]["replaced"]:
            assert old in text, f"left_out.toml replaces {old!r}, which alertmanager.yml does not have"
            text = text.replace(old, new.format(smtp=free_port(), secrets=secrets))
        (folder / "alertmanager.yml").write_text(text)
        command = [
            program("alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]
        self.process = Process(command, folder / "alertmanager.log")

    def start(self) -> None:
        self.process.start(f"http://127.0.0.1:{self.port}/-/ready")

    def stop(self) -> None:
        self.process.stop()

    def suppressed(self) -> set[str]:
        """Names of the alerts that another one inhibits."""
        alerts = get_json(f"http://127.0.0.1:{self.port}/api/v2/alerts")
        return {alert["labels"]["alertname"] for alert in alerts if alert["status"]["inhibitedBy"]}

    def post(self, *labels: Mapping[str, str]) -> None:
        """Raises an alert for each set of labels."""
        alerts = [{"labels": one, "annotations": {"summary": f"{one['alertname']} fires"}} for one in labels]
        url = f"http://127.0.0.1:{self.port}/api/v2/alerts"
        request = urllib.request.Request(url, json.dumps(alerts).encode(), {"Content-Type": "application/json"})
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).close()


def traffic(collector: Collector, folder: Path, calls: int, seed: int = 1, **environment: str) -> Mapping[str, Any]:
    """The demo app over the real OpenAI SDK; the provider's bill."""
    folder.mkdir(parents=True, exist_ok=True)
    log, out = folder / "traffic.log", folder / "bill.json"
    command = ["sh", "-c", 'exec "$0" "$@" >"$BILL"', sys.executable, str(DEPLOY / "demo" / "traffic.py")]
    command += ["--calls", str(calls), "--seed", str(seed)]
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "BILL": str(out), **environment}
    process = Process(command, log, given)
    process.start()
    try:
        eventually(lambda: not process.running, seconds=110, what="the demo app ends")
    finally:
        process.stop()
    assert out.read_text(), log.read_text()[-3_000:]
    return json.loads(out.read_text())
