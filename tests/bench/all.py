"""``make bench``: every benchmark, one after the other; exit status 1 where one missed a bound."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FILES = ("run.py", "tap.py", "seams.py", "frames.py", "ends.py", "start.py", "many.py")


def main() -> int:
    missed = [name for name in FILES if subprocess.run([sys.executable, str(HERE / name)], check=False, cwd=HERE).returncode]
    if missed:
        print(f"\nmissed a bound: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
