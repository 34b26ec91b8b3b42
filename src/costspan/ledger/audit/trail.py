"""Who did what, when: the trail of a ledger. What says who a person is never stands in it."""

import getpass
import re
import secrets
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from costspan.ledger.audit.chain import DAYS, TRAIL, Entry, Head, Seal, append, head
from costspan.ledger.audit.sessions import Session

ACTOR_LENGTH: Final = 200
_PERSONAL: Final = re.compile(r"\s*(user|session|address|user_agent|label\.[\w.-]+)\s*(!=|<=|>=|=|<|>)\s*(.+)", re.DOTALL)


def this_actor() -> str:
    """The user and the machine, as the operating system names them."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user without a name, as containers have
        user = "unnamed"
    return f"{user}@{socket.gethostname()}"


def note(session: Session, seal: Seal, actor: str, action: str, resource: str, **detail: Any) -> Head:
    """Adds an entry to the trail, which also holds the chain of days as it is at this moment."""
    fields = {
        "recorded_at": now(),
        "actor": actor[:ACTOR_LENGTH],
        "action": action,
        "resource": resource,
        "detail": said(detail),
        "chain": str(head(session, DAYS)),
    }
    return append(session, TRAIL, seal, fields)


def said(detail: dict[str, Any]) -> str | None:
    """Details as JSON; None where there are none."""
    given = {name: value for name, value in detail.items() if value is not None}
    return msgspec.json.encode(given, order="sorted").decode() if given else None


def now() -> datetime:
    """This moment, in UTC without zone, as stores keep it."""
    return datetime.now(UTC).replace(tzinfo=None)


def new_person(seal: Seal, identity: str) -> str:
    """A person's hash for the trail, with a salt of its own."""
    return seal.person(identity, secrets.token_hex(8))


def is_person(seal: Seal, identity: str, hashed: str) -> bool:
    """Whether `hashed` (of `new_person`) stands for that person; False where it was made with another secret."""
    salt = hashed.split(":")[1] if hashed.count(":") == 2 else ""
    return seal.person(identity, salt) == hashed


def without_persons(seal: Seal, where: Sequence[str]) -> list[str]:
    """Conditions as they may stand in the trail: a value that may say who someone is only by its hash."""
    kept: list[str] = []
    for text in where:
        match = _PERSONAL.fullmatch(text)
        kept.append(f"{match[1]}{match[2]}{new_person(seal, match[3].strip())}" if match else text)
    return kept


def about(entry: Entry, identity: str, seal: Seal) -> bool:
    """Whether an entry of the trail is about that person."""
    kind, _, hashed = entry["resource"].partition(" ")
    return kind == "user" and is_person(seal, identity, hashed)
