"""``python -m costspan.ledger.provider``: the provider as a process.

Prints its URL as a line of JSON, and ends when its standard input does.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import threading

from costspan.ledger.provider.app import App
from costspan.ledger.provider.faults import Faults
from costspan.ledger.provider.server import bind, make_server


def main() -> None:
    """Serves until standard input ends (so that it can't outlive who started it), or SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gzip", action="store_true")
    for field in dataclasses.fields(Faults):
        parser.add_argument("--" + field.name.replace("_", "-"), type=float, default=field.default)
    options = vars(parser.parse_args())
    faults = Faults(**{field.name: options[field.name] for field in dataclasses.fields(Faults)})
    server = make_server(App(options["seed"], faults, gzip=options["gzip"]))
    listening = bind(options["port"])
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)

    def watch() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would be held when the interpreter ends
            pass
        server.should_exit = server.force_exit = True

    threading.Thread(target=watch, daemon=True).start()
    asyncio.run(server.serve(sockets=[listening]))


if __name__ == "__main__":
    main()
