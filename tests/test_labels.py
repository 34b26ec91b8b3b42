"""Attribution: labels set by the program, static ones, named keys, hashed users, and the bound in metrics."""

import asyncio
import contextvars
import threading
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.context import attach, detach

import costspan
from costspan import names
from costspan.labels import Bounds, KeyFileError, UserHash, current, key_fingerprint, load_keys
from recorded.cases import named
from replay import run
from telemetry_kit import instrumented

CHAT = named("openai/chat").exchange
KEY = key_fingerprint("sk-test-0123456789abcdef")


def test_labels_hold_inside_and_not_outside():
    assert current() == {}
    with costspan.label(
        team="search", project="ranking", user="u1", session="s1", organisation="acme", environment="prod", address="10.0.0.1"
    ):
        assert current() == {
            "costspan.team": "search",
            "costspan.project": "ranking",
            "user.id": "u1",
            "session.id": "s1",
            "costspan.organisation": "acme",
            "costspan.environment": "prod",
            "client.address": "10.0.0.1",
        }
    assert current() == {}


def test_the_organisation_may_be_spelled_with_a_z():
    with costspan.label(organization="acme"):
        assert current() == {"costspan.organisation": "acme"}


def test_inner_labels_add_to_outer_ones_and_override_them():
    with costspan.label(team="a", feature="x"):
        with costspan.label(team="b", user="u"):
            assert current() == {"costspan.team": "b", "user.id": "u", "costspan.label.feature": "x"}
        assert current() == {"costspan.team": "a", "costspan.label.feature": "x"}


def test_what_is_none_or_empty_is_no_label():
    with costspan.label(team=None, project="", other=None):
        assert current() == {}


@given(st.text())
def test_a_value_is_cut_at_256_characters(value: str):
    with costspan.label(free=value):
        assert current() == ({"costspan.label.free": value[:256]} if value else {})


def test_labels_end_with_the_block_whatever_ends_it():
    with pytest.raises(KeyError), costspan.label(team="a"):
        raise KeyError
    assert current() == {}


def test_a_function_can_be_labelled_and_stays_what_it_is():
    @costspan.label(team="a")
    def work(depth: int) -> dict[str, str]:
        """Works."""
        return work(depth - 1) if depth else current()

    assert work(3) == {"costspan.team": "a"}
    assert (work.__name__, work.__doc__) == ("work", "Works.")
    assert current() == {}


def test_an_async_function_can_be_labelled_and_called_many_times_at_once():
    @costspan.label(team="a")
    async def work(user: str) -> dict[str, str]:
        with costspan.label(user=user):
            await asyncio.sleep(0)
            return current()

    async def main() -> list[dict[str, str]]:
        return await asyncio.gather(*(work(f"u{number}") for number in range(50)))

    assert asyncio.iscoroutinefunction(work)
    assert asyncio.run(main()) == [{"costspan.team": "a", "user.id": f"u{number}"} for number in range(50)]


def test_a_generator_function_is_labelled_while_it_runs():
    @costspan.label(team="a")
    def stream():
        yield dict(current())
        yield dict(current())

    steps = stream()
    assert next(steps) == {"costspan.team": "a"}
    assert current() == {}
    with costspan.label(user="u"):
        assert next(steps) == {"costspan.team": "a", "user.id": "u"}
    assert list(steps) == []


def test_a_labelled_generator_takes_what_is_sent_and_thrown_and_returns_what_it_returns():
    @costspan.label(team="a")
    def stream():
        sent = yield 1
        try:
            yield sent
        except KeyError as error:
            yield (error, current())
        return "end"

    def outer():
        return (yield from stream())

    steps = outer()
    error = KeyError()
    assert (next(steps), steps.send(2), steps.throw(error)) == (1, 2, (error, {"costspan.team": "a"}))
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "end"


def test_a_labelled_generator_that_is_closed_is_closed_inside():
    seen: list[dict[str, str]] = []

    @costspan.label(team="a")
    def stream():
        try:
            yield 1
        finally:
            seen.append(dict(current()))

    steps = stream()
    next(steps)
    steps.close()
    assert len(seen) == 1


def test_an_async_generator_function_is_labelled_while_it_runs():
    @costspan.label(team="a")
    async def stream():
        try:
            yield dict(current())
        except KeyError:
            yield dict(current())

    async def main() -> None:
        steps = stream()
        async for labels in steps:
            assert labels == {"costspan.team": "a"}
            assert current() == {}
            break
        assert await steps.athrow(KeyError()) == {"costspan.team": "a"}
        await steps.aclose()

    asyncio.run(main())


def test_one_label_object_can_be_entered_many_times():
    label = costspan.label(team="a")
    with label, label:
        assert current() == {"costspan.team": "a"}
    with label:
        assert current() == {"costspan.team": "a"}
    assert current() == {}


def test_tasks_inherit_labels_and_keep_their_own():
    async def child(team: str | None) -> dict[str, str]:
        async with costspan.label(team=team):
            await asyncio.sleep(0)
            return current()

    async def main() -> tuple[dict[str, str], ...]:
        async with costspan.label(team="outer", project="p"):
            task = asyncio.create_task(child(None))
            both = await asyncio.gather(child("a"), child("b"))
        return (await task, *both)

    outer, first, second = asyncio.run(main())
    assert outer == {"costspan.team": "outer", "costspan.project": "p"}
    assert (first["costspan.team"], second["costspan.team"]) == ("a", "b")


def test_threads_inherit_labels_with_a_copied_context_only():
    seen: list[dict[str, str]] = []
    with costspan.label(team="a"):
        context = contextvars.copy_context()
        threads = [
            threading.Thread(target=lambda: seen.append(current())),
            threading.Thread(target=lambda: context.run(lambda: seen.append(current()))),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    assert seen == [{}, {"costspan.team": "a"}]


# -- on calls


def test_a_call_carries_static_labels_under_those_of_the_program():
    with instrumented(labels={"team": "static", "project": "p", "tier": "gold"}) as kit:
        with costspan.label(team="own"):
            run(httpx2, CHAT)
        said = kit.attributes()
    assert (said[names.TEAM], said[names.PROJECT], said["costspan.label.tier"]) == ("own", "p", "gold")


def test_a_streamed_call_keeps_the_labels_it_began_with():
    exchange = named("openai/stream_with_usage").exchange
    with (
        instrumented() as kit,
        httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=exchange.body))) as client,
    ):
        with costspan.label(team="a"):
            response = client.send(client.build_request("POST", exchange.url, content=exchange.request_body), stream=True)
        with costspan.label(team="b"):
            response.read()
        assert kit.attributes()[names.TEAM] == "a"


def test_a_call_without_a_label_takes_its_keys_team(tmp_path: Path):
    file = tmp_path / "keys.toml"
    file.write_text(f'[keys.{KEY}]\nname = "ci"\nteam = "platform"\nenvironment = "prod"\n')
    with instrumented(keys=file) as kit:
        run(httpx2, CHAT)
        said = kit.attributes()
        assert (said[names.API_KEY], said[names.API_KEY_NAME], said[names.TEAM]) == (KEY, "ci", "platform")
        assert said[names.ENVIRONMENT] == "prod"
        kit.clear()
        with costspan.label(team="own"):
            run(httpx2, CHAT)
        assert kit.attributes()[names.TEAM] == "own"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer k1"},
        {"api-key": "k1"},
        {"x-api-key": "k1"},
        {"x-goog-api-key": "k1"},
        {"Authorization": "bearer k1"},
    ],
)
def test_a_key_is_named_by_its_fingerprint_wherever_it_stands_and_shown_nowhere(headers: dict[str, str]):
    with instrumented() as kit:
        run(httpx2, CHAT._replace(request_headers=headers))
        span = kit.one()
    assert (span.attributes or {})[names.API_KEY] == key_fingerprint("k1")
    assert "k1" not in str(span.attributes).replace(key_fingerprint("k1"), "")


def test_a_user_is_hashed_before_it_leaves_and_stays_the_same():
    with instrumented(hash_users="s3cret") as kit:
        for user in ("alice", "alice", "bob"):
            with costspan.label(user=user):
                run(httpx2, CHAT)
        users = [(span.attributes or {})[names.USER_ID] for span in kit.spans()]
    assert users[0] == users[1] != users[2]
    assert "alice" not in users
    assert UserHash("s3cret")("alice") == users[0] != UserHash("other")("alice")


def test_baggage_is_taken_only_where_that_is_set():
    token = attach(baggage.set_baggage("costspan.team", "spoofed", baggage.set_baggage("other", "x")))
    try:
        with instrumented() as kit:
            run(httpx2, CHAT)
            assert names.TEAM not in kit.attributes()
        with instrumented(baggage=True) as kit:
            run(httpx2, CHAT)
            assert kit.attributes()[names.TEAM] == "spoofed"
            assert "other" not in kit.attributes()
    finally:
        detach(token)


# -- the key file


@given(st.text(min_size=1))
def test_a_fingerprint_is_twelve_hex_digits_without_the_key(key: str):
    fingerprint = key_fingerprint(key)
    assert len(fingerprint) == 12
    assert int(fingerprint, 16) >= 0
    assert fingerprint == key_fingerprint(key)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[keys", "keys.toml"),
        ('[keys.abc]\nteam = "a"', "'abc': not a fingerprint"),
        (f"[keys.{KEY}]\nteam = 5", f"key '{KEY}': want a table of strings"),
        (f'[keys]\n{KEY} = "a"', "want a table of strings"),
        ("keys = 5", "holds tables"),
        (f'[keys."{KEY.upper()}"]\nteam = "a"', "not a fingerprint"),
    ],
)
def test_an_error_in_the_key_file_names_the_file_and_the_key(tmp_path: Path, text: str, says: str):
    file = tmp_path / "keys.toml"
    file.write_text(text)
    with pytest.raises(KeyFileError) as error:
        load_keys(file)
    assert str(file) in str(error.value)
    assert says in str(error.value)


def test_a_key_file_that_is_no_text_is_an_error_that_names_it(tmp_path: Path):
    file = tmp_path / "keys.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(KeyFileError, match=r"keys\.toml"):
        load_keys(file)


# -- the bound


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9).map(str))), st.integers(1, 5))
def test_a_label_has_at_most_so_many_values_and_the_rest_are_counted(values: list[tuple[str, str]], most: int):
    bounds = Bounds(most)
    said = [(name, bounds.value(name, value)) for name, value in values]
    for name in "ab":
        kept = {value for label, value in said if label == name} - {"other"}
        assert len(kept) <= most
        assert sum(1 for label, value in said if label == name and value == "other") == bounds.overflowed.get(name, 0)
