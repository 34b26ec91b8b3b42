"""Writes facts.json: what tests need of the GenAI semantic conventions, as names, types, units and buckets.

usage: extract.py GENAI_JSON     (the conventions as facts: see `version` in facts.json)
"""

import json
import sys
from pathlib import Path
from typing import Any

FACTS = Path(__file__).parent / "facts.json"


def facts_of(conventions: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": conventions["version"]["state"],
        "attributes": {
            name: {"type": facts["type"], **({"enum": facts["enum"]} if facts["enum"] else {})}
            for name, facts in conventions["attributes"].items()
        },
        "deprecated": sorted(conventions["deprecated"]["attributes"]) + sorted(conventions["deprecated"]["metrics"]),
        "metrics": {
            metric["name"]: {key: metric[key] for key in ("instrument", "unit", "buckets")}
            | {"attributes": sorted(attribute["name"] for attribute in metric["attributes"])}
            for metric in conventions["metrics"]
        },
        "events": {
            event["name"]: {
                "severity_number": event["severity_number"],
                "attributes": sorted(part["name"] for part in event["attributes"]),
            }
            for event in conventions["events"]
        },
        "spans": {
            operation: {
                "name": span["name_format"],
                "required": sorted(part["name"] for part in span["attributes"] if part["requirement"] == "required"),
                "attributes": sorted(part["name"] for part in span["attributes"]),
            }
            for span in conventions["spans"]
            for operation in span["operations"] or []
            if span["kind"] == "client"
        },
    }


if __name__ == "__main__":
    FACTS.write_text(
        json.dumps(facts_of(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), indent=1) + "\n", encoding="utf-8"
    )
