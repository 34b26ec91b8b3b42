"""Matchers of paths with known endings."""

import pytest

from costspan.settings import Settings
from costspan.wire import openai
from costspan.wire.endings import posted
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format

LONG = Format("chat", "/v1/talk/long", openai.ask, openai.read)
TALK = Format("chat", "/v1/talk", openai.ask, openai.read)
HOSTS = Hosts(Settings(providers={"mine.example": "acme"}))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "post"])
def test_what_is_not_posted_is_not_matched(method: str):
    assert posted(HOSTS, {"/v1/talk": TALK})(method, "mine.example", 0, "/v1/talk") is None


def test_the_first_ending_that_fits_holds_also_below_a_prefix():
    matches = posted(HOSTS, {"/v1/talk": TALK, "/talk": LONG})
    for path, expected in (("/v1/talk", TALK), ("/gateway/v1/talk", TALK), ("/talk", LONG)):
        route = matches("POST", "mine.example", 0, path)
        assert route is not None
        assert route.format is expected
    assert matches("POST", "mine.example", 0, "/v1/talks") is None


@pytest.mark.parametrize(
    ("at", "elsewhere", "mine", "theirs", "nobodys"),
    [
        (None, True, True, True, True),
        (("acme",), True, True, False, True),
        (("acme",), False, True, False, False),
        (("cohere",), True, True, False, True),
        (("cohere",), False, False, False, False),
        (None, False, True, True, False),
    ],
)
def test_whose_hosts_are_matched(at: tuple[str, ...] | None, elsewhere: bool, mine: bool, theirs: bool, nobodys: bool):
    matches = posted(HOSTS, {"/v1/talk": TALK}, at, elsewhere=elsewhere)
    found = [matches("POST", host, 0, "/v1/talk") is not None for host in ("mine.example", "api.openai.com", "nobody.example")]
    assert found == [mine, theirs, nobodys]


def test_a_host_that_only_the_settings_name_is_believed_by_what_its_bodies_ask():
    for at, known in ((None, True), (("acme",), True), (("cohere",), False)):
        route = posted(HOSTS, {"/v1/talk": TALK}, at)("POST", "mine.example", 0, "/v1/talk")
        assert route is not None
        assert (route.provider, route.known) == ("acme", known)


def test_a_host_that_nobody_knows_keeps_its_own_name():
    route = posted(HOSTS, {"/v1/talk": TALK})("POST", "nobody.example", 0, "/v1/talk")
    assert route is not None
    assert (route.provider, route.known) == ("nobody.example", False)
