"""Writes the boards to json/, as Grafana provisions them; with ``--check``, fails where one there is not what its source says."""

import json
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

from boards import call, cost, errors, health, latency, ledger, overview, tokens  # noqa: E402
from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: E402

BOARDS: Final = {
    "overview": overview,
    "cost": cost,
    "latency": latency,
    "errors": errors,
    "tokens": tokens,
    "call": call,
    "ledger": ledger,
    "health": health,
}


def text_of(module: Any) -> str:
    """A board's JSON."""
    return json.dumps(module.build().build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def main() -> int:
    stale: list[str] = []
    (HERE / "json").mkdir(exist_ok=True)
    for name, module in BOARDS.items():
        path, text = HERE / "json" / f"{name}.json", text_of(module)
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
    if stale:
        sys.stderr.write(f"not what their source says: {', '.join(stale)}. Run: python grafana-dashboards/build.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
