"""Make demo.svg: run ``costspan demo`` and a report on its ledger, and draw what they print."""

import os
import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

COMMANDS = ("demo --store demo.duckdb", "report spend --by team,model --since yesterday --store demo.duckdb")
CHARACTER, LINE, MARGIN = 8.43, 19, 16
"""Width of a character and height of a line at 14 px, and the margin, in pixels."""
STYLES = (
    (r"^\$ .*", "command"),
    (r"^[A-Z].*\?$", "question"),
    (r"^(team|spend:) .*", "question"),
    (r".*the same to the cent$", "same"),
)
HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" aria-label="costspan demo and a report">
<style>
rect {{ fill: #ffffff; stroke: #d0d7de; }}
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #24292f; }}
.command {{ fill: #0550ae; font-weight: bold; }}
.question {{ font-weight: bold; }}
.same {{ fill: #116329; }}
</style>
<rect x="0.5" y="0.5" width="{inner:.0f}" height="{inner_height}" rx="6"/>
"""


def output(command: str, folder: str) -> list[str]:
    """What a command prints, without the commands that the demo proposes at its end."""
    arguments = [sys.executable, "-m", "costspan", *command.split()]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(arguments, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    printed = done.stdout.partition("Ask for yourself")[0]
    return [f"$ costspan {command}", *printed.rstrip().splitlines(), ""]


def drawn(lines: list[str]) -> str:
    """Lines of text as a picture; every line says its length, so that columns stand whatever the font."""
    width = max(map(len, lines)) * CHARACTER + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    parts = [HEAD.format(width=width, height=height, inner=width - 1, inner_height=height - 1)]
    for number, line in enumerate(lines, 1):
        if text := line.strip():
            style = next((name for pattern, name in STYLES if re.match(pattern, line)), None)
            kind = f' class="{style}"' if style else ""
            left = MARGIN + (len(line) - len(line.lstrip())) * CHARACTER
            place = f'x="{left:.1f}" y="{MARGIN + number * LINE - 5}" textLength="{len(text) * CHARACTER:.1f}"'
            parts.append(f'<text xml:space="preserve" {place}{kind}>{escape(text, quote=False)}</text>\n')
    return "".join((*parts, "</svg>\n"))


def main() -> None:
    """Write the picture beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [line for command in COMMANDS for line in output(command, folder)][:-1]
    Path(__file__).with_name("demo.svg").write_text(drawn(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
