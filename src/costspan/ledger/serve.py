"""The ledger's server: OTLP over HTTP and gRPC into one store, and reports for those who ask."""

import asyncio
import gc
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
import uvicorn

from costspan.ledger import otlp, remote, tail
from costspan.ledger.audit import requests as audit
from costspan.ledger.audit.chain import seal_of_settings
from costspan.ledger.audit.keeper import Keeper
from costspan.ledger.decode import Decoder
from costspan.ledger.errors import LedgerError, ServerError, UsageError
from costspan.ledger.grpc import GrpcReceiver
from costspan.ledger.intake import Intake
from costspan.ledger.page import Page, PageOptions
from costspan.ledger.ports import claim, is_loopback
from costspan.ledger.query import Question
from costspan.ledger.receiver import Endpoint, Receiver, Reply
from costspan.ledger.recent import Recent
from costspan.ledger.report import Result, run, to_wire
from costspan.ledger.stores import CLICKHOUSE, Address, Place, open_store, place_of
from costspan.ledger.writer import Writer
from costspan.prices import PriceBook, PriceFileError
from costspan.settings import SettingsError, load

HTTP_PORT: Final = 4318
GRPC_PORT: Final = 4317
GRACE_SECONDS: Final = 5.0
START_SECONDS: Final = 10.0
_as_question = msgspec.json.Decoder(Question).decode
_as_tail_question = msgspec.json.Decoder(tail.TailQuestion).decode


def collect_seldom() -> None:
    """For a process that does nothing but serve: rows are many small lists, none of them in a cycle, and looking through them
    again and again for cycles takes a sixth of its time."""
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


class Server:
    """A running ledger, in threads of this process::

        with Server(store=path, http_port=0, grpc_port=0) as server:  # or the URL of a PostgreSQL database
            ... server.http_port ... server.report("spend", by=("team",))

    Port 0 takes a free one. Leaving the block stops taking requests, stores what was taken, and closes the file.

    Raises (on entering):
        StoreError: the store can't be used.
        ServerError: a port is taken.
    """

    def __init__(
        self,
        store: Place | str | None = None,
        *,
        host: str = "127.0.0.1",
        http_port: int = HTTP_PORT,
        grpc_port: int = GRPC_PORT,
        page: PageOptions | None = None,
    ) -> None:
        self.place = place_of(store)
        self.page = Page(page) if page is not None else None
        self.host = host
        self.http_port = http_port
        self.grpc_port = grpc_port

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def path(self) -> Path:
        """The ledger's file, where it is in one."""
        assert isinstance(self.place, Path), f"{self.place} is no file"
        return self.place

    def start(self) -> None:
        """Opens the store, then listens. What was opened is closed again where a later step fails."""
        if isinstance(self.place, Address) and self.place.scheme in CLICKHOUSE:
            raise UsageError(
                f"{self.place}: `costspan serve` takes calls, and into ClickHouse the Collector's clickhouse exporter writes. "
                "No server is needed: `costspan report NAME --store` reads it directly."
            )
        self.store = open_store(self.place)
        self.recent = Recent()
        self._writer = Writer(self.store, self.recent.add)
        with ExitStack() as undo:
            undo.callback(self.store.close)
            undo.callback(self._writer.close)
            page_socket = self.page.claim(undo) if self.page else None
            http_socket = undo.enter_context(claim(self.host, self.http_port, "--otlp-http-port"))
            report_socket = undo.enter_context(claim("127.0.0.1", 0, "--host"))
            report_port: int = report_socket.getsockname()[1]
            self.http_port = http_socket.getsockname()[1]
            self._address = remote.offer(report_port)
            if isinstance(self.place, Path):  # a database answers by itself
                remote.publish(self.place, self._address)
                undo.callback(remote.withdraw, self.place, self._address)
            prices = self._prices()
            intake, decoder = Intake(), Decoder(prices)
            self._grpc = GrpcReceiver(self._writer, intake, decoder, self.host, self.grpc_port)
            self.figures = decoder.figures
            self.grpc_port = self._grpc.port
            self._seal = seal_of_settings()
            self._keeper = Keeper(self.store, self._seal)
            self._keeper.start(str(self.place), prices.version)
            undo.pop_all()
        local = is_loopback(http_socket.getsockname()[0])
        asked = {
            remote.PATH: self._endpoint(self._report),
            tail.PATH: self._endpoint(self._tail),
            audit.PATH: self._endpoint(self._audit),
        }
        self._receiver = Receiver(self._writer, intake, decoder, asked, report_port, local=local)
        self._listen([http_socket, report_socket])
        if self.page is not None and page_socket is not None:
            self._show(self.page, page_socket)

    @staticmethod
    def _prices() -> PriceBook:
        """What calls of other instrumentations are priced by: the table, and the files of COSTSPAN_PRICES."""
        try:
            return PriceBook(load().prices)
        except (PriceFileError, SettingsError) as error:
            raise ServerError(str(error)) from error

    def _show(self, page: Page, claimed: socket.socket) -> None:
        try:
            page.start(claimed, self.place, self.store, self.recent)
        except LedgerError:
            self.stop()
            raise

    def stop(self) -> None:
        """Takes no more requests, stores those it took, folds the log into the file. Twice is once."""
        if self.page is not None:
            self.page.stop()
        self._uvicorn.should_exit = True
        self._grpc.close(GRACE_SECONDS)
        self._thread.join()
        self._receiver.close()
        self._writer.close()
        self._keeper.stop()
        if isinstance(self.place, Path):
            remote.withdraw(self.place, self._address)
        self.store.close()

    def report(self, report: str, **options: Any) -> Result:
        """One report, with the options of `Question`.

        Raises:
            UsageError: the question makes no sense.
            StoreError: the store could not be read.
        """
        return self.ask(Question(report, **options))

    def ask(self, question: Question) -> Result:
        """Answers `question` from the store as it is now."""
        with self.store.reader() as connection:
            return run(connection, question)

    def _listen(self, sockets: list[socket.socket]) -> None:
        config = uvicorn.Config(
            self._receiver,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=int(GRACE_SECONDS),
        )
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        self._uvicorn = uvicorn.Server(config)
        serve = self._uvicorn.serve(sockets=sockets)
        self._thread = threading.Thread(target=asyncio.run, args=(serve,), name="costspan-ledger-http", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._uvicorn.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                self.stop()
                raise ServerError(f"the HTTP server did not start within {START_SECONDS:.0f} s")
            time.sleep(0.005)

    def _report(self, body: bytes) -> bytes:
        return to_wire(self.ask(_as_question(body)))

    def _audit(self, body: bytes) -> bytes:
        try:
            return audit.answer(self.store, self._seal, body)
        finally:
            self.recent.touch()

    def _tail(self, body: bytes) -> bytes:
        return msgspec.json.encode(tail.tell(self.store, self.recent, _as_tail_question(body)))

    def _endpoint(self, answer: Callable[[bytes], bytes]) -> Endpoint:
        """What those who hold the token may ask, with the errors as they are told them."""

        def endpoint(headers: Mapping[str, str], body: bytes) -> Reply:
            if not remote.allowed(headers, self._address.token):
                return _as_reply(403, "the token of the server file is needed, and a loopback Host")
            try:
                return Reply(200, otlp.JSON, answer(body))
            except msgspec.DecodeError as error:
                return _as_reply(400, f"no question: {error}")
            except UsageError as error:
                return _as_reply(400, str(error))
            except LedgerError as error:
                return _as_reply(503, str(error))

        return endpoint


def _as_reply(status: int, message: str) -> Reply:
    return Reply(status, otlp.JSON, msgspec.json.encode({"message": message}))


def ask(store: Place | str | None, question: Question) -> Result:
    """Answers `question` from the ledger that `store` names: by the server that has its file open, else from the store itself.

    Raises:
        UsageError: the question makes no sense, or `store` names nothing that a ledger can be in.
        StoreError: there is no ledger, or it can't be read.
        ServerError: a server has it, but gave no answer.
    """
    place = place_of(store)
    if isinstance(place, Path) and (answer := remote.ask(place, question)) is not None:
        return answer
    opened = open_store(place, read_only=True)
    try:
        with opened.reader() as reader:
            return run(reader, question)
    finally:
        opened.close()
