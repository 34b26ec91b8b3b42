"""Attribution: who a call is for. Labels set by the program, static labels, named keys; and the bound on metric labels."""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from costspan import names

P = ParamSpec("P")
R = TypeVar("R")

KNOWN = {
    "team": names.TEAM,
    "project": names.PROJECT,
    "organisation": names.ORGANISATION,
    "environment": names.ENVIRONMENT,
    "user": names.USER_ID,
    "session": names.SESSION_ID,
    "address": names.CLIENT_ADDRESS,
    "user_agent": names.USER_AGENT,
    "agent": names.AGENT_NAME,
    "conversation": names.CONVERSATION_ID,
}
VALUE_CHARACTERS = 256
_NONE: dict[str, str] = {}
_current: ContextVar[dict[str, str]] = ContextVar("costspan_labels", default=_NONE)


_ALSO = {"organization": names.ORGANISATION}
"""Another spelling of a known label: as a free one it would be missing from every report by organisation."""


def attribute_of(label: str) -> str:
    """The span attribute of a label: ``team`` -> its own, a free one under the label prefix."""
    return KNOWN.get(label) or _ALSO.get(label) or names.LABEL_PREFIX + label


def as_attributes(labels: dict[str, Any]) -> dict[str, str]:
    """Labels by attribute name, as strings of at most 256 characters; those that are None or empty are left out."""
    given = {name: str(value)[:VALUE_CHARACTERS] for name, value in labels.items() if value is not None and value != ""}
    return {attribute_of(name): value.encode("utf-8", "replace").decode() for name, value in given.items()}


class label:  # noqa: N801 - reads as a verb: ``with costspan.label(team="search")``
    """Attributes every call inside to a team, project, user ...: a context manager and a decorator, sync and async.

    Inner labels add to outer ones and override them; tasks and threads started with a copied context inherit them.
    """

    def __init__(
        self,
        *,
        team: str | None = None,
        project: str | None = None,
        user: str | None = None,
        session: str | None = None,
        organisation: str | None = None,
        environment: str | None = None,
        address: str | None = None,
        **more: str | None,
    ) -> None:
        known = {"team": team, "project": project, "user": user, "session": session, "organisation": organisation}
        self._labels = as_attributes({**known, "environment": environment, "address": address, **more})
        self._tokens: list[Token[dict[str, str]]] = []

    def __enter__(self) -> "label":
        self._tokens.append(_current.set({**_current.get(), **self._labels}))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _current.reset(self._tokens.pop())

    async def __aenter__(self) -> "label":
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def _again(self) -> "label":
        """A copy of its own tokens, so that one decorator serves concurrent calls."""
        copy = label()
        copy._labels = self._labels
        return copy

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def labelled_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._again():
                    return await cast("Callable[P, Any]", function)(*args, **kwargs)

            return cast("Callable[P, R]", labelled_async)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            # Each step is labelled by itself: what holds across a yield leaks to who iterates.
            steps: Any = self._steps if inspect.isgeneratorfunction(function) else self._async_steps

            @wraps(function)
            def labelled_steps(*args: P.args, **kwargs: P.kwargs) -> Any:
                return steps(function(*args, **kwargs))

            return cast("Callable[P, R]", labelled_steps)

        @wraps(function)
        def labelled(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again():
                return function(*args, **kwargs)

        return labelled

    def _steps(self, generator: Any) -> Any:
        step: Any = generator.send
        value: Any = None
        while True:
            try:
                with self._again():
                    produced = step(value)
            except StopIteration as stop:
                return stop.value
            try:
                value = cast("Any", (yield produced))
                step = generator.send
            except GeneratorExit:
                generator.close()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown in from outside, and handed on
                step, value = generator.throw, error

    async def _async_steps(self, generator: Any) -> Any:
        step: Any = generator.asend
        value: Any = None
        while True:
            try:
                with self._again():
                    produced = await step(value)
            except StopAsyncIteration:
                return
            try:
                value = cast("Any", (yield produced))
                step = generator.asend
            except GeneratorExit:
                await generator.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - as above
                step, value = generator.athrow, error


current = _current.get
"""The labels in force here, by attribute name. Not to be changed by the caller."""


def from_baggage() -> dict[str, str]:
    """The known labels that came in as baggage (COSTSPAN_BAGGAGE), by attribute name."""
    from opentelemetry import baggage  # noqa: PLC0415 - off unless asked for

    wanted = KNOWN.values()
    return {name: str(value)[:VALUE_CHARACTERS] for name, value in baggage.get_all().items() if name in wanted}


def key_fingerprint(key: str) -> str:
    """Twelve hexadecimal digits that name an API key and can't be turned back into it (keys are long and random)."""
    return hashlib.blake2s(key.encode(), digest_size=6, person=b"costspan").hexdigest()


class KeyFileError(ValueError):
    """The file of COSTSPAN_KEYS is not usable; the message names file and key."""


class NamedKey(NamedTuple):
    """What the key file says of one key."""

    name: str
    labels: dict[str, str]


def load_keys(path: Path) -> dict[str, NamedKey]:
    """COSTSPAN_KEYS: ``[keys.<fingerprint>]`` tables with ``name``, ``team``, ``environment`` (and further labels).

    Raises:
        KeyFileError: not TOML, or a table or value that is not of that shape.
    """
    import tomllib  # noqa: PLC0415 - few programs name their keys

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise KeyFileError(f"{path}: {error}") from error
    tables = document.get("keys", document)
    if not isinstance(tables, dict):
        raise KeyFileError(f"{path}: 'keys' holds tables [keys.<fingerprint>]")
    keys: dict[str, NamedKey] = {}
    for fingerprint, entry in cast("dict[str, Any]", tables).items():
        if not isinstance(entry, dict) or not all(isinstance(value, str) for value in cast("dict[str, Any]", entry).values()):
            raise KeyFileError(f'{path}: key {fingerprint!r}: want a table of strings such as name = "ci", team = "search"')
        fields = dict(cast("dict[str, str]", entry))
        if len(fingerprint) != 12 or not all(digit in "0123456789abcdef" for digit in fingerprint):
            raise KeyFileError(f"{path}: key {fingerprint!r}: not a fingerprint (12 hex digits, see `costspan key fingerprint`)")
        keys[fingerprint] = NamedKey(fields.pop("name", fingerprint), as_attributes(fields))
    return keys


class UserHash:
    """COSTSPAN_HASH_USERS: replaces a user id by its keyed hash (64 bits); the same user stays the same."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.blake2b(secret.encode(), digest_size=32).digest()

    def __call__(self, user: str) -> str:
        return hashlib.blake2b(user.encode(), key=self._key, digest_size=8).hexdigest()


OTHER = "other"
SETS_A_VALUE = 5
"""Sets of metric labels a process may have, for each value that one label may take."""


class Bounds:
    """Keeps each metric label to a number of distinct values; further ones become ``other`` and are counted.

    The SDK's own bound of 2,000 attribute sets keeps totals too, but silently loses who they belong to. Labels that are each
    bounded still multiply (200 teams times 50 models), so sets of labels are bounded as well, at `SETS_A_VALUE` times `most`.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: dict[str, set[str]] = {}
        self._sets: set[tuple[Any, ...]] = set()
        self.overflowed: dict[str, int] = {}

    def value(self, name: str, value: str) -> str:
        """`value`, or ``other`` once `name` has had its fill. Call under a lock: not itself thread-safe."""
        seen = self._seen.setdefault(name, set())
        if value in seen:
            return value
        if len(seen) < self._most:
            seen.add(value)
            return value
        self._overflow(name)
        return OTHER

    def one_set(self, labels: dict[str, Any], given: Iterable[str]) -> tuple[dict[str, Any], tuple[Any, ...]]:
        """`labels`, and what tells their set from others. Once there are as many sets as may be, the `given` names are ``other``
        in further ones; at twice as many, every text is, and numbers go. Call under a lock.
        """
        most = self._most * SETS_A_VALUE
        fitted, key = labels, _key(labels)
        if key not in self._sets and len(self._sets) >= most:
            fitted = {name: OTHER if name in given else value for name, value in labels.items()}
            key = _key(fitted)
        if key not in self._sets and len(self._sets) >= 2 * most:
            fitted = {name: OTHER for name, value in labels.items() if isinstance(value, str)}
            key = _key(fitted)
        self._sets.add(key)
        for name, value in labels.items():
            if fitted.get(name) != value:
                self._overflow(name)
        return fitted, key

    def _overflow(self, name: str) -> None:
        self.overflowed[name] = self.overflowed.get(name, 0) + 1


def _key(labels: dict[str, Any]) -> tuple[Any, ...]:
    return (None, *sorted((name, str(value)) for name, value in labels.items()))
