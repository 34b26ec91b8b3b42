"""Writes deploy/prometheus/rules/costspan.yaml from thresholds.toml; with ``--check``, fails where it is not what they say."""

import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "src")]

from rules import groups  # noqa: E402

TARGET: Final = ROOT / "deploy" / "prometheus" / "rules" / "costspan.yaml"
INTERVALS: Final = {"spend": "1m", "figures": "1m"}
"""Groups that look back over days are evaluated less often than prometheus.yml says."""
HEAD: Final = "# Made by `python alerts/build.py` from alerts/thresholds.toml. What to do about each: docs/runbooks.md\n"
WIDTH: Final = 150


def document() -> dict[str, Any]:
    """The rules, as Prometheus reads them."""
    thresholds = tomllib.loads((HERE / "thresholds.toml").read_text(encoding="utf-8"))
    runbooks, keep = thresholds.pop("runbooks")["url"], thresholds.pop("all")["keep_firing_minutes"]
    made = {name: [alert.as_rule(runbooks, keep) for alert in found] for name, found in groups(thresholds).items()}
    every = {name: {"interval": INTERVALS[name]} if name in INTERVALS else {} for name in made}
    return {"groups": [{"name": f"costspan-{name}", **every[name], "rules": rules} for name, rules in made.items()]}


def main() -> int:
    text = HEAD + yaml.safe_dump(document(), sort_keys=False, width=WIDTH, allow_unicode=True)
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
        sys.stderr.write(f"{TARGET.relative_to(ROOT)} is not what alerts/thresholds.toml says. Run: python alerts/build.py\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
