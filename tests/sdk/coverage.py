"""docs/coverage.md, made of what the tests of one or several runs saw: no cell is written by hand."""

import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

COLUMNS = ("plain", "stream", "async", "retry", "error", "raw", "others", "in use", "no model")
HEAD = """# SDKs seen

Made by `make sdk-test`, which installs each of these versions on Python {python}, runs the tests against a local provider that
speaks as each SDK's own does, and compares with that provider's bill. A number is how many tests passed; `-` is what the SDK
doesn't have in this version (or, under *retry*, doesn't do itself). Supported is what stands here without a failure, and what
lies between.

| Column | One test at least for each of the synchronous and the asynchronous client |
|---|---|
| plain, stream | One span, with provider, model, tokens and cost as billed; of a stream also the time to its first chunk |
| async | All tests of the asynchronous client |
| retry | Attempts that the SDK makes by itself are events of one call; when all fail it is one failed call |
| error | Refusals (400, 429, 500) raise what they raise without costspan, and are one failed call each |
| raw | `with_raw_response`, `with_streaming_response` and the like: as without costspan, and counted |
| others | Embeddings, rerank, further endpoints |
| in use | Clients made before costspan or copied, streams left early, tasks cancelled, many threads |
| no model | Lists of models, files, fine-tuning jobs: no span |

"""


class Seen(NamedTuple):
    """One test that stands for a column."""

    test: str
    sdk: str
    version: str
    column: str
    asynchronous: bool
    passed: bool


def read(report: Path) -> list[Seen]:
    """The tests in a JUnit report that say for which SDK and column they stand."""
    found: list[Seen] = []
    for case in ElementTree.parse(report).iter("testcase"):
        said = {one.get("name"): one.get("value") or "" for one in case.iter("property")}
        if "sdk" not in said or case.find("skipped") is not None:
            continue
        passed = case.find("failure") is None and case.find("error") is None
        found.append(Seen(case.get("name", ""), said["sdk"], said["version"], said["column"], said["clients"] == "async", passed))
    return found


def _cell(tests: Sequence[Seen]) -> str:
    """Each test once, though a version may have been installed in several environments."""
    run = {one.test for one in tests}
    failed = {one.test for one in tests if not one.passed}
    if not run:
        return "-"
    return f"**{len(failed)} of {len(run)} failed**" if failed else str(len(run))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def page(seen: Iterable[Seen], absent: Iterable[tuple[str, str]], python: str) -> str:
    """The page, as Markdown. `absent`: each SDK that nothing was seen of, and why; `python`: the version that all ran on."""
    rows: defaultdict[tuple[str, str], list[Seen]] = defaultdict(list)
    for one in seen:
        rows[one.sdk, one.version].append(one)
    lines = ["| SDK | Version | " + " | ".join(COLUMNS) + " |", "|---|---|" + "---|" * len(COLUMNS)]
    for (sdk, version), tests in sorted(rows.items(), key=lambda row: (row[0][0], _numbers(row[0][1]))):
        columns = [[one for one in tests if name in (one.column, "async" if one.asynchronous else "")] for name in COLUMNS]
        lines.append(f"| {sdk} | {version} | " + " | ".join(map(_cell, columns)) + " |")
    lines += [f"| {requirement} | **{why}** |" + " |" * len(COLUMNS) for requirement, why in sorted(set(absent))]
    return HEAD.format(python=python) + "\n".join(lines) + "\n"
