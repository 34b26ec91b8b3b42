"""ClickHouse's HTTP interface over chdb, the engine as a library: what a real client needs of a server. Its own process.

``python clickhouse_bridge.py [DIRECTORY]`` prints its port. The password of every user is "right".
"""

import base64
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chdb import session

FORMAT = re.compile(r"\s+FORMAT\s+(\w+)\s*$", re.IGNORECASE)
READS = re.compile(r"\s*(select|with|show|describe)\b", re.IGNORECASE)
CODE = re.compile(r"Code: (\d+)")


class Bridge(BaseHTTPRequestHandler):
    """One statement a request; `param_` arguments are bound by the engine, the others are settings of a query."""

    protocol_version = "HTTP/1.1"
    engine: Any
    settings: frozenset[str]
    one_at_a_time = threading.Lock()

    def do_POST(self) -> None:
        """Runs the statement in the argument ``query``, in the body, or both."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        arguments = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}
        statement = "\n".join(filter(None, (arguments.pop("query", ""), body.decode())))
        if self._password() != "right":
            self._reply(403, b"Code: 516. DB::Exception: Authentication failed: password is incorrect", 516)
            return
        try:
            with self.one_at_a_time:
                found = self._run(statement, arguments)
            self._reply(200, found)
        except RuntimeError as error:
            code = CODE.search(str(error))
            self._reply(500, str(error).encode(), int(code[1]) if code else 0)

    do_GET = do_POST  # noqa: N815 - the name that the base class looks for

    def _run(self, statement: str, arguments: dict[str, str]) -> bytes:
        form = "TabSeparated"
        if READS.match(statement):
            if found := FORMAT.search(statement):
                statement, form = statement[: found.start()], found[1]
            given = [
                f"{name} = {value if value.isdigit() else repr(value)}"
                for name, value in arguments.items()
                if name in self.settings
            ]
            statement += f"\nsettings {', '.join(given)}" if given else ""
        if database := arguments.get("database"):
            self.engine.query(f"use `{database}`")
        bound = {name.removeprefix("param_"): value for name, value in arguments.items() if name.startswith("param_")}
        return bytes(self.engine.query(statement, form, params=bound or None).bytes() or b"")

    def _password(self) -> str:
        if given := self.headers.get("x-clickhouse-key"):
            return given
        scheme, _, basic = self.headers.get("authorization", "").partition(" ")
        return base64.b64decode(basic).decode().partition(":")[2] if scheme == "Basic" else ""

    def _reply(self, status: int, body: bytes, code: int = 0) -> None:
        self.send_response(status)
        if code:
            self.send_header("x-clickhouse-exception-code", str(code))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def main() -> None:
    """Serves until its standard input ends."""
    Bridge.engine = session.Session(*sys.argv[1:2])
    Bridge.engine.query("create database if not exists otel")
    names = Bridge.engine.query("select name from system.settings", "JSONCompactColumns").bytes()
    Bridge.settings = frozenset(json.loads(names)[0])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bridge)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
