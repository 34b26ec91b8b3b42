"""The example app of the stack: a local provider, and the demo's five services that call it through the OpenAI SDK.

    python deploy/demo/traffic.py --calls 300

Each service is a process. They send their telemetry where OTEL_EXPORTER_OTLP_ENDPOINT says (this machine's Collector unless set).
Each has eight calls under way, so `--latency` decides how many there are a second: 8 / latency a service. At the end the
provider's bill is printed, a line of JSON.
"""

import argparse
import json
import os
import secrets
import tempfile
import time
import urllib.request
from pathlib import Path

from costspan.ledger.demo import company
from costspan.ledger.demo.drive import FAULTS, Child, Workers, write_settings
from costspan.ledger.demo.task import Task

PASSED_ON = ("OTEL_", "COSTSPAN_")
"""Settings that the services get from here."""


def main() -> None:
    """Makes the calls, says the bill."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=300, help="calls of all services together")
    parser.add_argument("--latency", type=float, default=FAULTS["latency"], help="seconds until the provider answers")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    faults = [part for name, value in {**FAULTS, "latency": options.latency}.items() for part in (f"--{name}", str(value))]
    provider = Child("costspan.ledger.provider", ["--seed", str(options.seed), *faults])
    try:
        url = json.loads(provider.stdout.readline())["url"]
        _drive(url, options.calls, options.seed)
        with urllib.request.urlopen(f"{url}/bill", timeout=10) as reply:  # noqa: S310 - the URL is the local provider's
            print(json.dumps(json.load(reply)), flush=True)
    finally:
        provider.stop()


def _drive(url: str, calls: int, seed: int) -> None:
    with tempfile.TemporaryDirectory(prefix="costspan-traffic-") as folder:
        environment = {
            **write_settings(Path(folder)),
            **{name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)},
            "OTEL_RESOURCE_ATTRIBUTES": f"{company.resource(secrets.token_hex(4))},deployment.environment.name=demo",
        }
        shares = company.shares(calls)
        tasks = [Task(one.name, url, shares[one.name], 0, seed, time.time()) for one in company.SERVICES]
        with Workers(tasks, environment) as workers:
            workers.run(lambda _live, _history: None)


if __name__ == "__main__":
    main()
