"""What an instrumented process holds: telemetry, routes, and who its calls are for."""

import hashlib
import os
from collections.abc import Mapping
from typing import Any, TypeVar

from costspan import labels, names
from costspan.call import Call
from costspan.settings import Settings
from costspan.setup import Providers
from costspan.telemetry import Telemetry
from costspan.wire.route import Router
from costspan.wire.secrets import KEY_HEADERS

COUNTED_RESPONSES = 10_000
REMEMBERED_KEYS = 1024
EDGE_BYTES = 64 * 1024
V = TypeVar("V")


class Active:
    """What an instrumented process needs on the way of a call."""

    def __init__(self, telemetry: Telemetry, router: Router, settings: Settings) -> None:
        self.telemetry = telemetry
        self.router = router
        self.settings = settings
        self.static = labels.as_attributes(dict(settings.labels))
        self.keys = labels.load_keys(settings.keys) if settings.keys else {}
        self.hash_user = labels.UserHash(settings.hash_users) if settings.hash_users else None
        secret = hashlib.blake2b((settings.secret or _machine()).encode(), digest_size=32).digest()
        self._hasher = hashlib.blake2b(key=secret, digest_size=12)
        self._key_names: dict[int, str] = {}
        self.found: dict[tuple[Any, ...], Any] = {}
        """Requests that matched before, by method and parts of the URL; the HTTP seams fill and bound it."""
        self.counted: dict[str, None] = {}
        self._batch_ends: dict[str, int] = {}

    def attribution(self, key: str | None) -> dict[str, str]:
        """Labels of a call begun here: the key's, static ones, baggage's, the program's; later ones win."""
        own = labels.current()
        if self.settings.baggage:
            own = {**labels.from_baggage(), **own}
        named = self.keys.get(key) if key else None
        if self.static or named:
            own = {**(named.labels if named else {}), **self.static, **own}
        if self.hash_user is not None and names.USER_ID in own:
            own = {**own, names.USER_ID: self.hash_user(own[names.USER_ID])}
        return own

    def is_first(self, call: Call, *, settled: bool) -> bool:
        """Whether an answer made in the background is seen `settled` for the first time here.

        A batch's results don't say when it ended; its record does, which mostly was looked at before them.
        """
        if call.response_id is None:
            return False
        if call.batch:
            self._date(call, call.response_id)
        if not settled or call.response_id in self.counted:
            return False
        _keep(self.counted, call.response_id, None)
        return True

    def _date(self, call: Call, response_id: str) -> None:
        if call.priced_at_ns is None:
            call.priced_at_ns = self._batch_ends.get(response_id)
        else:
            _keep(self._batch_ends, response_id, call.priced_at_ns)

    def fingerprint(self, body: bytes) -> str:
        """Keyed hash of a request body (its first and last 64 KB, its length): equal requests are equal, none can be reversed."""
        if len(body) > 2 * EDGE_BYTES:
            body = body[:EDGE_BYTES] + body[-EDGE_BYTES:] + len(body).to_bytes(8, "big")
        hasher = self._hasher.copy()
        hasher.update(body)
        return hasher.hexdigest()

    def key_of(self, headers: Mapping[str, str]) -> str | None:
        """The fingerprint of the request's API key, or of the token in its place.

        Remembered by the header's (per-process, salted) hash, never by the header: no key is kept here.
        """
        for name in KEY_HEADERS:
            if value := headers.get(name):
                if value.startswith("AWS4-"):  # a signature, new with each request: its access key is what stays
                    value = value.partition("Credential=")[2].partition("/")[0] or value
                known = self._key_names.get(hash(value))
                return known if known is not None else self._name_key(value)
        return None

    def _name_key(self, value: str) -> str:
        scheme, _, key = value.partition(" ")
        name = labels.key_fingerprint(key or scheme)
        if len(self._key_names) < REMEMBERED_KEYS:
            self._key_names[hash(value)] = name
        return name


def _keep(kept: dict[str, V], name: str, value: V) -> None:
    """Put `name` into `kept`, and the oldest one out where they are too many."""
    kept[name] = value
    if len(kept) > COUNTED_RESPONSES:
        del kept[next(iter(kept))]


def _machine() -> str:
    """What keys request fingerprints where no COSTSPAN_SECRET is set: the same for all programs of one machine."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            return file.read()
    except OSError:
        return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


class _State:
    active: Active | None = None
    providers: Providers | None = None


state = _State()
