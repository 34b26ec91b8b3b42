"""Who gets to the page: the token, the Host and the Origin are checked for requests and for WebSocket upgrades alike."""

import base64
import http.client
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from costspan.ledger.errors import ServerError, UsageError
from costspan.ledger.page import Page, PageOptions
from costspan.ledger.page.guard import admission
from costspan.ledger.serve import Server

pytest.importorskip("nicegui")

TOKEN = "not-a-real-token-0123456789"  # made up
SOCKET = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose page needs a token."""
    path = tmp_path_factory.mktemp("page") / "ledger.duckdb"
    with Server(path, http_port=0, grpc_port=0, page=PageOptions(port=0, names=("costs.example",), token=TOKEN)) as server:
        yield server


@pytest.fixture(scope="module")
def open_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose page is for whoever is on this machine."""
    path = tmp_path_factory.mktemp("page") / "ledger.duckdb"
    with Server(path, http_port=0, grpc_port=0, page=PageOptions(port=0)) as server:
        yield server


def port_of(server: Server) -> int:
    assert server.page is not None
    return server.page.port


def get(server: Server, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=20)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def upgrade(server: Server, **headers: str) -> int:
    """The status that an attempt to open a WebSocket gets."""
    sent = {
        "Host": f"127.0.0.1:{port_of(server)}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=20) as connection:
        connection.sendall(f"GET {SOCKET} HTTP/1.1\r\n{lines}\r\n".encode())
        return int(connection.recv(1024).split()[1])


def cookie(server: Server) -> str:
    """What a browser holds after it opened the address that the server printed."""
    status, headers, _ = get(server, f"/?token={TOKEN}")
    assert status == 200
    return headers["set-cookie"].partition(";")[0]


class TestTheToken:
    @pytest.mark.parametrize("path", ["/", "/calls", "/reports/spend.csv", "/metrics", "/assets/page.css", "/_nicegui/x"])
    def test_without_it_nothing_is_served(self, locked: Server, path: str) -> None:
        status, headers, body = get(locked, path)
        assert status == 401
        assert b"token" in body
        assert "set-cookie" not in headers

    def test_a_wrong_one_is_refused_wherever_it_stands(self, locked: Server) -> None:
        assert get(locked, "/?token=wrong")[0] == 401
        assert get(locked, "/", authorization="Bearer wrong")[0] == 401
        assert get(locked, "/", cookie=f"costspan_page_{port_of(locked)}={TOKEN}")[0] == 401, "the cookie is not the token itself"

    def test_it_moves_from_the_url_to_a_cookie_that_scripts_and_other_sites_do_not_get(self, locked: Server) -> None:
        status, headers, body = get(locked, f"/calls?team=search&token={TOKEN}")
        assert status == 200
        assert re.search(r"; HttpOnly; SameSite=Strict$", headers["set-cookie"])
        assert TOKEN not in headers["set-cookie"]
        assert TOKEN.encode() not in body
        assert b"url=/calls?team=search" in body
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"

    def test_an_address_that_is_another_hosts_in_disguise_is_not_gone_on_to(self, locked: Server) -> None:
        assert b"url=/evil.example" in get(locked, f"//evil.example?token={TOKEN}")[2]

    def test_the_cookie_opens_the_page(self, locked: Server) -> None:
        status, _, body = get(locked, "/", cookie=f"other=a b; {cookie(locked)}")
        assert status == 200
        assert TOKEN.encode() not in body

    def test_a_scraper_sends_it_as_a_bearer(self, locked: Server) -> None:
        status, headers, body = get(locked, "/metrics", authorization=f"Bearer {TOKEN}")
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")
        assert b"# TYPE costspan_ledger_calls_total counter" in body

    def test_one_is_made_where_the_page_is_not_on_loopback(self) -> None:
        assert Page(PageOptions(host="127.0.0.1")).url == "http://127.0.0.1:8421/"
        assert re.fullmatch(r"http://127\.0\.0\.1:8421/\?token=[\w-]{40,}", Page(PageOptions(host="0.0.0.0")).url)

    @pytest.mark.parametrize("token", ["short", "with a space in it, and long", "x" * 600, "not-ascii-é-0123456789"])
    def test_one_that_could_be_guessed_or_not_be_sent_is_refused(self, token: str) -> None:
        with pytest.raises(UsageError, match="--page-token"):
            admission("127.0.0.1", (), token)


class TestHostAndOrigin:
    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "a@localhost", "[::1"]
    )
    def test_a_foreign_host_is_refused(self, open_page: Server, host: str) -> None:
        assert get(open_page, "/", host=host)[0] in (400, 403)
        assert upgrade(open_page, Host=host) in (400, 403)

    @pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8421", "LOCALHOST"])
    def test_names_of_loopback_are_taken(self, open_page: Server, host: str) -> None:
        assert get(open_page, "/reports", host=host)[0] == 200

    def test_a_name_that_was_given_is_taken(self, locked: Server) -> None:
        assert get(locked, "/metrics", host="Costs.example:99", authorization=f"Bearer {TOKEN}")[0] == 200

    def test_on_all_addresses_any_address_is_taken_but_no_foreign_name(self) -> None:
        everywhere = admission("0.0.0.0", (), None)
        assert everywhere.any_address
        assert not admission("10.0.0.7", (), None).any_address

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
    def test_a_foreign_origin_is_refused(self, open_page: Server, origin: str) -> None:
        assert get(open_page, "/", origin=origin)[0] == 403
        assert upgrade(open_page, Origin=origin) == 403

    def test_its_own_origin_is_taken(self, open_page: Server) -> None:
        own = f"http://127.0.0.1:{port_of(open_page)}"
        assert get(open_page, "/reports", origin=own)[0] == 200
        assert upgrade(open_page, Origin=own) == 101

    def test_what_another_sites_page_loads_from_here_is_refused_but_a_link_to_here_is_not(self, open_page: Server) -> None:
        site = {"sec_fetch_site": "cross-site"}
        assert get(open_page, "/reports/spend.csv", sec_fetch_mode="no-cors", **site)[0] == 403
        assert get(open_page, "/reports", sec_fetch_mode="navigate", **site)[0] == 200

    def test_a_websocket_needs_the_token_too(self, locked: Server) -> None:
        own = f"http://127.0.0.1:{port_of(locked)}"
        assert upgrade(locked, Origin=own) == 403
        assert upgrade(locked, Origin=own, Cookie=f"costspan_page_{port_of(locked)}=wrong") == 403
        assert upgrade(locked, Origin="http://evil.example", Cookie=cookie(locked)) == 403
        assert upgrade(locked, Host="evil.example", Cookie=cookie(locked)) == 403
        assert upgrade(locked, Origin=own, Cookie=cookie(locked)) == 101


class TestThePage:
    def test_every_reply_says_what_a_browser_may_do_with_it(self, open_page: Server) -> None:
        for path in ("/", "/metrics", "/reports/spend.csv", "/assets/page.css", "/nothing-here"):
            _, headers, _ = get(open_page, path)
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "http" not in policy, "nothing is loaded from elsewhere"
            assert headers["x-content-type-options"] == "nosniff"

    def test_several_servers_in_one_process_show_their_own_ledgers(self, tmp_path: Path, otlp: Any) -> None:
        seen: list[bytes] = []
        for name in ("one", "two"):
            with Server(tmp_path / f"{name}.duckdb", http_port=0, grpc_port=0, page=PageOptions(port=0)) as server:
                otlp.send(server, otlp.call({"costspan.team": f"team-{name}"}))
                seen.append(get(server, "/reports/spend.csv")[2])
                port = port_of(server)
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1)
        assert b"team-one" in seen[0]
        assert b"team-one" not in seen[1]
        assert b"team-two" in seen[1]

    def test_what_a_report_refuses_is_said_by_its_csv(self, open_page: Server) -> None:
        assert get(open_page, "/reports/spend.csv?where=nonsense%3D1")[0] == 400
        assert get(open_page, "/reports/anomalies.csv?z=much")[0] == 400
        assert get(open_page, "/reports/nonsense.csv")[0] == 404


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_the_receiver_takes_nothing_that_a_web_page_can_send_without_asking(
    open_page: Server, otlp: Any, path: str, kind: str
) -> None:
    assert otlp.post(open_page.http_port, path, b"{}", kind).status == 415


def test_what_is_not_installed_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nicegui", None)
    server = Server(tmp_path / "ledger.duckdb", http_port=0, grpc_port=0, page=PageOptions(port=0))
    with pytest.raises(ServerError, match=r"the page needs nicegui: pip install 'costspan\[page\]'"):
        server.start()


class TestThePort:
    def test_one_that_is_taken_is_said_with_what_to_do(self, open_page: Server, tmp_path: Path) -> None:
        second = Server(tmp_path / "second.duckdb", http_port=0, grpc_port=0, page=PageOptions(port=port_of(open_page)))
        with pytest.raises(ServerError, match="choose another with --page-port"):
            second.start()

    def test_calls_are_taken_without_a_page_where_nobody_asked_for_that_port(self, open_page: Server, tmp_path: Path) -> None:
        page = PageOptions(port=port_of(open_page), optional=True)
        with Server(tmp_path / "second.duckdb", http_port=0, grpc_port=0, page=page) as second:
            assert second.page is not None
            assert "is taken" in second.page.absent
