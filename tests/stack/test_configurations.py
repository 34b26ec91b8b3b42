"""Every configuration file, by the program that reads it or, where that can't be had, as far as the file itself goes."""

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from costspan import names
from costspan.ledger.page import PORT
from stack.parts import CONFIG, DEPLOY, LEFT_OUT, REDACTION_KEY, config_arguments
from stack.processes import ROOT, program

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PAGE_TOKEN = "made-up-token-0123456789"
SECRETS = {
    "COSTSPAN_REDACTION_KEY": REDACTION_KEY, "COSTSPAN_PAGE_TOKEN": PAGE_TOKEN, "GRAFANA_PASSWORD": "x",
    "CLICKHOUSE_PASSWORD": "x", "PATH": "/usr/bin:/bin",
}  # fmt: skip


def run(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    """What a checking program says; fails where it finds fault."""
    done = subprocess.run(
        command, cwd=cwd, env={**SECRETS, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "files", [("agent",), ("agent", "clickhouse"), ("node",), ("gateway",), ("gateway", "clickhouse")], ids=" ".join
)
def test_the_collector_takes_every_combination_of_its_files(files: tuple[str, ...]) -> None:
    run(program("costspan-collector"), "validate", *config_arguments(*files))


def test_every_file_is_in_one_of_these_combinations() -> None:
    assert {path.stem for path in CONFIG.glob("*.yaml")} - {"builder", "kustomization"} == {
        "agent",
        "node",
        "gateway",
        "clickhouse",
        "redaction",
    }


@pytest.mark.parametrize("name", ["agent", "node", "gateway"])
def test_without_redaction_the_collector_does_not_start(name: str) -> None:
    done = subprocess.run(
        [program("costspan-collector"), "validate", f"--config={CONFIG / name}.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "which is not configured" in done.stderr


@pytest.mark.parametrize("name", ["agent", "node", "gateway"])
def test_all_that_leaves_is_redacted_and_nothing_is_held_in_memory_unasked(name: str) -> None:
    config = yaml.safe_load((CONFIG / f"{name}.yaml").read_text())
    for pipeline, parts in config["service"]["pipelines"].items():
        processors = [processor.split("/")[0] for processor in parts["processors"]]
        assert "batch" not in processors
        if parts["receivers"] == ["otlp"]:
            assert parts["processors"][0].startswith("memory_limiter"), pipeline
            assert {"redaction/keys", "redaction/people"} <= set(parts["processors"]), pipeline
    for exporter, options in config["exporters"].items():
        if not exporter.startswith("prometheus"):
            assert options["sending_queue"]["storage"] == "file_storage", exporter
            assert options["retry_on_failure"]["max_elapsed_time"] == "0s", exporter


def test_attribute_names_in_the_collectors_files_are_those_of_the_code() -> None:
    text = "".join((CONFIG / f"{name}.yaml").read_text() for name in ("agent", "node", "gateway"))
    ours = {value for value in vars(names).values() if isinstance(value, str)}
    used = set(re.findall(r'attributes\["([a-z_.]+)"\]', text)) | set(re.findall(r"key: (costspan[a-z_.]+)", text))
    assert used - {"event.name"} <= ours
    assert names.EVENT_CALL in text


def test_prometheus_takes_its_file_and_its_rules() -> None:
    run(program("promtool"), "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))


def test_alertmanager_takes_its_file() -> None:
    assert "3 receivers" in run(program("amtool"), "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml"))


def test_alertmanagers_secrets_are_files_where_compose_puts_them() -> None:
    text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
    assert set(re.findall(r"_file: (\S+)/", text)) == {
        "/etc/alertmanager/secrets"
    }  # relative ones are not found: they are the process' own
    assert "./deploy/alertmanager:/etc/alertmanager:ro" in COMPOSE["services"]["alertmanager"]["volumes"]
    assert not re.search(r"(password|api_url|url): ", text)


@pytest.mark.parametrize(("profile", "services"), [((), 6), (("demo",), 7), (("scale",), 7)], ids=["plain", "demo", "scale"])
def test_compose_takes_its_file(profile: tuple[str, ...], services: int) -> None:
    loaded = yaml.safe_load(
        run(program("stack-check"), "compose", str(ROOT / "docker-compose.yml"), COMPOSE_PROFILES=",".join(profile))
    )
    assert len(loaded["services"]) == services


def test_kubernetes_takes_the_manifests(tmp_path: Path) -> None:
    built = tmp_path / "built.yaml"
    built.write_text(run(program("stack-check"), "kustomize", str(ROOT / "kubernetes")))
    kinds = run(program("stack-check"), "kubernetes", str(built), str(ROOT / "kubernetes" / "example.yaml")).split("\n")
    found = {kind.split(" ")[0] for kind in kinds if kind}
    wanted = {
        "Namespace",
        "ConfigMap",
        "DaemonSet",
        "StatefulSet",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Instrumentation",
        "Deployment",
    }
    assert found == wanted
    [config] = [one for one in yaml.safe_load_all(built.read_text()) if one["kind"] == "ConfigMap"]
    mounted = {argument.rsplit("/", 1)[1] for argument in re.findall(r"--config=\S+\.yaml", built.read_text())}
    assert mounted == set(config["data"])
    images = re.findall(r"image: (otel/\S+)", built.read_text())
    assert set(images) == {COMPOSE["services"]["collector"]["build"]["args"]["IMAGE"]}


def test_processes_of_one_container_are_instances_of_their_own_whatever_the_operator_says() -> None:
    """It gives all of them one service.instance.id; with that, the counters of workers would overwrite each other."""
    instrumentation = yaml.safe_load((ROOT / "kubernetes" / "instrumentation.yaml").read_text())
    given = {one["name"]: one["value"] for one in instrumentation["spec"]["python"]["env"] if "value" in one}
    given["OTEL_RESOURCE_ATTRIBUTES"] = "service.instance.id=namespace.pod.container,k8s.pod.name=pod"
    code = "from opentelemetry.sdk.resources import Resource as R; print(R.create().attributes['service.instance.id'])"
    seen = {run(sys.executable, "-c", code, **given).strip() for _ in range(2)}
    assert len(seen) == 2
    assert "namespace.pod.container" not in seen


def test_a_misspelled_field_of_a_manifest_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((ROOT / "kubernetes" / "instrumentation.yaml").read_text().replace("propagators:", "propagaters:"))
    done = subprocess.run([program("stack-check"), "kubernetes", str(wrong)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "propagaters" in done.stderr


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_every_service_is_pinned_limited_checked_and_local(name: str) -> None:
    service = COMPOSE["services"][name]
    image = (
        service.get("build", {}).get("args", {}).get("IMAGE", service["image"])
        if isinstance(service.get("build"), dict)
        else service["image"]
    )
    assert image == "costspan:local" or re.search(r":v?\d+\.\d+\.\d+", image), image
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert "healthcheck" in service or service["image"] == "costspan:local"  # in its Dockerfile
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).exists() or source == "./grafana-dashboards", source


def test_make_makes_every_secret_that_compose_demands() -> None:
    demanded = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    made = re.search(r"^SECRETS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert made is not None
    assert demanded <= set(made[1].split())


def test_what_the_image_runs_shows_the_page_to_who_has_the_token(tmp_path: Path) -> None:
    """The Dockerfile's own command, on free ports: its page and its health, on the addresses that compose and it speak of."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    command = json.loads(re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[0])
    published = COMPOSE["services"]["ledger"]["ports"]
    assert published == [f"127.0.0.1:{PORT}:{PORT}"]
    assert f"EXPOSE 4317 4318 {PORT}\n" in dockerfile
    assert "COSTSPAN_PAGE_TOKEN" in COMPOSE["services"]["ledger"]["environment"]
    ports = ("--otlp-http-port", "0", "--otlp-grpc-port", "0", "--page-port", "0")
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "COSTSPAN_PAGE_TOKEN": PAGE_TOKEN}
    with subprocess.Popen(
        [sys.executable, "-m", "costspan", *command, *ports], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr
            said = "".join(process.stderr.readline() for _ in range(4))
            assert f"ledger     {tmp_path}/costspan/ledger.duckdb\n" in said
            http, page = (re.search(rf"^{name} +http://[\d.]+:(\d+)", said, re.MULTILINE) for name in ("OTLP/HTTP", "page"))
            assert http, said
            assert page, said
            health = re.findall(r"urlopen\('(http://127\.0\.0\.1):4318(/[a-z]+)'", dockerfile)
            assert health, "the health check asks the port of OTLP over HTTP"
            assert status(f"{health[0][0]}:{http[1]}{health[0][1]}") == 200
            address = f"http://127.0.0.1:{page[1]}/"
            assert status(address) == 401
            assert status(f"{address}?token={PAGE_TOKEN}") == 200
            assert status(address, f"Bearer {PAGE_TOKEN}") == 200
        finally:
            process.terminate()


def status(url: str, authorization: str = "") -> int:
    """What a GET is answered by."""
    request = urllib.request.Request(url, headers={"Authorization": authorization} if authorization else {})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_images_are_of_the_versions_that_are_tested() -> None:
    builder = yaml.safe_load((CONFIG / "builder.yaml").read_text())
    assert COMPOSE["services"]["collector"]["build"]["args"]["IMAGE"].endswith(":" + builder["dist"]["version"])
    for name, tool in (("prometheus", "promtool"), ("alertmanager", "amtool")):
        if not Path(program(tool)).is_symlink():  # the system's may be another
            assert f"version {COMPOSE['services'][name]['image'].split(':v')[1]} " in run(program(tool), "--version")


def test_grafanas_data_sources_have_fixed_uids_and_lead_to_each_other() -> None:
    sources = {
        one["uid"]: one
        for one in yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/stack.yaml").read_text())["datasources"]
    }
    assert set(sources) == {"costspan-prometheus", "costspan-tempo", "costspan-clickhouse"}
    [exemplar] = sources["costspan-prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert exemplar["datasourceUid"] == "costspan-tempo"
    to_metrics = sources["costspan-tempo"]["jsonData"]["tracesToMetrics"]
    assert to_metrics["datasourceUid"] == "costspan-prometheus"
    ours = {value for value in vars(names).values() if isinstance(value, str)}
    assert {tag["key"] for tag in to_metrics["tags"]} <= ours
    metrics = {metric.prometheus for metric in names.METRICS}
    for query in to_metrics["queries"]:
        [metric] = re.findall(r"((?:costspan|gen_ai)_\w+?)(?:_bucket)?\{", query["query"])
        assert metric in metrics
    hosts = {re.sub(r"https?://|:.*", "", one["url"]) for one in sources.values() if "url" in one}
    assert hosts <= set(COMPOSE["services"])


def test_grafana_reads_the_boards_from_where_compose_puts_them() -> None:
    [provider] = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/stack.yaml").read_text())["providers"]
    assert f"./grafana-dashboards:{provider['options']['path']}:ro" in COMPOSE["services"]["grafana"]["volumes"]


def test_tempo_listens_where_the_collector_sends_and_grafana_asks() -> None:
    tempo = yaml.safe_load((DEPLOY / "tempo" / "tempo.yaml").read_text())
    endpoint = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert COMPOSE["services"]["collector"]["environment"]["TEMPO_ENDPOINT"].split(":")[1] == endpoint.split(":")[1]
    assert tempo["server"]["http_listen_port"] == 3200


def test_the_difference_to_the_tested_copy_is_the_stated_one() -> None:
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    assert all(old in text for old, _ in LEFT_OUT["prometheus"]["replaced"])
