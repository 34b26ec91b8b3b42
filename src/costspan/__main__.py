"""The `costspan` command: the command line of the ledger, or what to install for it."""

import os
import sys
from typing import Final, NoReturn

EXTRA: Final = frozenset(("typer", "click", "rich", "duckdb", "pyarrow", "grpc", "uvicorn", "psycopg", "clickhouse_connect"))
"""What the extra `ledger` brings."""
INTERRUPTED: Final = 130


def main() -> None:
    """Runs the command line. Exit codes: 0, 1 for a failure, 2 for wrong usage or a missing extra, 130 for Ctrl-C."""
    _write_any_text()
    if sys.argv[1:2] == ["doctor"]:  # it must work where the extra is not installed
        from costspan.doctor.command import main as doctor  # noqa: PLC0415

        try:
            sys.exit(doctor(sys.argv[2:]))
        except KeyboardInterrupt:  # typer does so for the others
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            _close_pipe()
    try:
        from costspan.ledger.cli import app  # noqa: PLC0415 - the extra may not be installed
        from costspan.ledger.errors import LedgerError, UsageError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        sys.exit(_advise(error))
    try:
        app()
    except ModuleNotFoundError as error:
        sys.exit(_advise(error))
    except UsageError as error:
        _complain(str(error))
        sys.exit(2)
    except LedgerError as error:
        _complain(str(error))
        sys.exit(1)
    except BrokenPipeError:
        _close_pipe()


def _close_pipe() -> NoReturn:
    """The reader (head, less) has seen enough; what is left in the buffer must not be tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def _write_any_text() -> None:
    """What is written may hold any character: files and pipes get UTF-8, a terminal of another encoding a ? for what it lacks."""
    if (change := getattr(sys.stdout, "reconfigure", None)) is None:  # a program that calls `main` may have put anything there
        return
    if sys.stdout.isatty():
        change(errors="replace")
    else:
        change(encoding="utf-8", errors="strict")


def _advise(error: ModuleNotFoundError) -> int:
    """Says what to install where a module of the extra is missing; any other missing module is a defect."""
    if (error.name or "").partition(".")[0] not in EXTRA:
        raise error
    extra = "demo" if sys.argv[1:2] == ["demo"] else "ledger"
    _complain(f"the command line needs {error.name}: pip install 'costspan[{extra}]'")
    return 2


def _complain(text: str) -> None:
    sys.stderr.write(f"costspan: {text}\n")


if __name__ == "__main__":
    main()
