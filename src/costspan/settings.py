"""The environment and the arguments of ``instrument()`` become one frozen `Settings`, or one clear error."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec


class SettingsError(ValueError):
    """A setting's value is not usable; the message names the setting, the value and what would be."""


SECRET = ("secret", "hash_users", "audit_secret")
HIDDEN = "***"


class Settings(msgspec.Struct, frozen=True):
    """Every knob, as documented in docs/settings.md. An argument of ``instrument()`` beats its environment variable."""

    labels: dict[str, str] = {}
    """COSTSPAN_LABELS: ``team=search,project=ranking``, for every call of this process."""
    keys: Path | None = None
    """COSTSPAN_KEYS: TOML file that gives API keys, by fingerprint, a name, a team and an environment."""
    hash_users: str | None = None
    """COSTSPAN_HASH_USERS: a secret; ``user.id`` is replaced by its keyed hash before it leaves the process."""
    secret: str | None = None
    """COSTSPAN_SECRET: key of request fingerprints; share it where duplicates are to be found across machines."""
    propagate: frozenset[str] = frozenset()
    """COSTSPAN_PROPAGATE: hosts (``gateway.internal``, ``.corp.example``) that get ``traceparent``."""
    prices: tuple[Path, ...] = ()
    """COSTSPAN_PRICES: TOML files of price overrides, separated as in PATH; later files win."""
    providers: dict[str, str] = {}
    """COSTSPAN_PROVIDERS: provider names of hosts of your own, ``llm.corp.example=vllm,localhost:1234=lm_studio``."""
    stream_usage: str = "auto"
    """COSTSPAN_STREAM_USAGE: ``auto`` (hosts known to accept it), ``off``, or further hosts, comma-separated."""
    metric_labels: tuple[str, ...] = ("team", "project")
    """COSTSPAN_METRIC_LABELS: which labels metrics carry. Never the user."""
    metric_label_values: int = 200
    """COSTSPAN_METRIC_LABEL_VALUES: values a label may take in metrics before ``other``; five times as many sets of labels."""
    compat: frozenset[str] = frozenset()
    """COSTSPAN_COMPAT: older conventions to emit besides, comma-separated; ``1.37`` is known."""
    baggage: bool = False
    """COSTSPAN_BAGGAGE: take team, project, user ... from incoming baggage too; off, since callers could spoof it."""
    audit_secret: str | None = None
    """COSTSPAN_AUDIT_SECRET: of the ledger: the key that its chain of days and its trail are sealed by."""
    log: bool = False
    """COSTSPAN_LOG: one JSON line a call to the logger ``costspan.call``."""

    def __repr__(self) -> str:
        fields = msgspec.structs.asdict(self).items()
        shown = ", ".join(f"{name}={HIDDEN if value and name in SECRET else repr(value)}" for name, value in fields)
        return f"Settings({shown})"


COMPAT_VERSIONS = frozenset({"1.37"})
COUNT_DIGITS = 10
"""More is a mistake."""
ON = frozenset({"1", "true", "yes", "on"})
OFF = frozenset({"", "0", "false", "no", "off"})
FLAGS = (ON | OFF | {"none"}) - {"", "off"}
"""What is no host, but was meant to switch something on or off."""


def _pairs(value: str) -> dict[str, str]:
    """``a=1,b=2`` as a dict.

    Raises:
        ValueError: a part has no ``=`` or no name.
    """
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, equals, text = part.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"{part!r} is not name=value")
        pairs[name.strip()] = text.strip()
    return pairs


def _names(value: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in value.split(","))))


def _file(value: str) -> Path | None:
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_file():
        raise ValueError(f"{value} is {'no file' if path.exists() else 'not there'}; want the path of a file")
    return path


def _files(value: str) -> tuple[Path, ...]:
    return tuple(path for part in value.split(os.pathsep) if (path := _file(part)) is not None)


def _secret(value: str) -> str:
    """Without the line break that a file of secrets ends in.

    Raises:
        ValueError: there is nothing but white space.
    """
    if value and not value.strip():
        raise ValueError("white space is no secret")
    return value.strip()


def _flag(value: str) -> bool:
    if value.lower() in ON:
        return True
    if value.lower() in OFF:
        return False
    raise ValueError("want 1 or 0")


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < COUNT_DIGITS and int(value)):
        raise ValueError("want a whole number, 1 or more")
    return int(value)


def _host(name: str) -> str:
    """A host in lower case, as it is compared with.

    Raises:
        ValueError: it has a scheme, a port, a path or an asterisk, so it would never be met.
    """
    if "*" in name:
        raise ValueError(f"{name!r} is no host: write names out, without *")
    if "/" in name or name.count(":") == 1:  # more colons than one: an IPv6 address
        raise ValueError(f"{name!r} is no host: leave out scheme, port and path")
    return name.lower()


def _hosts(value: str) -> frozenset[str]:
    return frozenset(map(_host, _names(value)))


def _providers(value: str) -> dict[str, str]:
    return _of_hosts(_pairs(value))


def _of_hosts(pairs: dict[str, str]) -> dict[str, str]:
    for host, provider in pairs.items():
        if "/" in host:
            raise ValueError(f"{host!r} is no host: leave out scheme and path")
        if "*" in host:
            raise ValueError(f"{host!r} is no host: write names out, without *")
        if not provider:
            raise ValueError(f"{host!r} has no provider's name")
    return {host.lower(): provider for host, provider in pairs.items()}


def _stream_usage(value: str) -> str:
    hosts = _hosts(value)
    if "off" in hosts and len(hosts) > 1:
        raise ValueError("'off' stands alone")
    if flags := hosts & FLAGS:
        raise ValueError(f"{min(flags)!r} is no host: want auto, off, or the hosts to ask besides")
    return ",".join(sorted(hosts)) or "auto"


def _compat(value: str) -> frozenset[str]:
    versions = frozenset(_names(value))
    if unknown := versions - COMPAT_VERSIONS:
        raise ValueError(f"unknown {', '.join(sorted(unknown))}; known: {', '.join(sorted(COMPAT_VERSIONS))}")
    return versions


def _metric_labels(value: str) -> tuple[str, ...]:
    labels = _names(value)
    if "user" in labels or "session" in labels:
        raise ValueError("user and session are unbounded and never become metric labels; ask the ledger")
    return labels


_PARSERS: dict[str, Callable[[str], Any]] = {
    "labels": _pairs,
    "keys": _file,
    "hash_users": _secret,
    "secret": _secret,
    "propagate": _hosts,
    "prices": _files,
    "providers": _providers,
    "stream_usage": _stream_usage,
    "metric_labels": _metric_labels,
    "metric_label_values": _count,
    "compat": _compat,
    "baggage": _flag,
    "audit_secret": _secret,
    "log": _flag,
}


def _as_text(name: str, value: object) -> str:
    """An argument as its environment variable would be written, so that both go through one parser."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list | tuple | set | frozenset):
        joiner = os.pathsep if name == "prices" else ","
        return joiner.join(str(part) for part in value)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    return str(value)


def _as_pairs(argument: Mapping[object, object]) -> dict[str, str]:
    """A dict needs no parsing, and may hold what would separate pairs."""
    return {str(key): str(value) for key, value in argument.items() if value is not None}


_OF_PAIRS: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {"labels": dict, "providers": _of_hosts}


def load(environ: Mapping[str, str] | None = None, **arguments: object) -> Settings:
    """Settings from COSTSPAN_* and from arguments, which win.

    Raises:
        SettingsError: an unknown argument, or a value that its setting does not take.
    """
    environ = os.environ if environ is None else environ
    if unknown := set(arguments) - set(_PARSERS):
        raise SettingsError(f"unknown setting {', '.join(sorted(unknown))}; known: {', '.join(sorted(_PARSERS))}")
    values: dict[str, Any] = {}
    for name, parse in _PARSERS.items():
        variable = "COSTSPAN_" + name.upper()
        argument = arguments.get(name)
        where, text = (f"{name}=", _as_text(name, argument)) if argument is not None else (variable, environ.get(variable))
        if text is None or (text == "" and argument is None):
            continue
        try:
            if isinstance(argument, Mapping) and name in _OF_PAIRS:
                values[name] = _OF_PAIRS[name](_as_pairs(cast("Mapping[object, object]", argument)))
            else:
                values[name] = parse(text if name in SECRET else text.strip())
        except (ValueError, OSError, RuntimeError) as error:  # the last: no such user's home directory
            shown = HIDDEN if name in SECRET else repr(text)
            raise SettingsError(f"{where} {shown}: {error}") from error
    return Settings(**values)
