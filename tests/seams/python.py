"""Runs a piece of Python in a process of its own, with costspan and the test helpers at hand."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

TESTS = Path(__file__).parents[1]
HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{library}":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def python(code: str, hidden: str = "") -> str:
    """What `code` prints. `hidden`: a library that is not installed there."""
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    whole = (HIDE.format(library=hidden) if hidden else "") + dedent(code)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", whole],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
