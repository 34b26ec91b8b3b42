"""What a check has found."""

from typing import Final, Literal

import msgspec

Level = Literal["ok", "note", "warning", "problem"]
MARKS: Final[dict[Level, str]] = {"ok": "ok  ", "note": "--  ", "warning": "WARN", "problem": "FAIL"}


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's: `advice` says what to do, for warnings and problems."""

    section: str
    level: Level
    text: str
    advice: str = ""


def as_text(findings: list[Finding]) -> str:
    """The findings under the headings of their sections, as a person reads them."""
    lines: list[str] = []
    section = ""
    for finding in findings:
        if finding.section != section:
            section = finding.section
            lines += ["", section]
        lines.append(f"  {MARKS[finding.level]}  {finding.text}")
        if finding.advice:
            lines.append(f"        {finding.advice}")
    counted = {level: sum(finding.level == level for finding in findings) for level in ("problem", "warning")}
    lines += ["", f"{counted['problem']} problems, {counted['warning']} warnings"]
    return "\n".join(lines).lstrip("\n") + "\n"
