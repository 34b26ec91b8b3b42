"""The paths by which OpenAI's format is known, at whatever host."""

from costspan.wire import openai
from costspan.wire.audio import SPEECH, TRANSCRIPTION, TRANSLATION
from costspan.wire.hosts import Hosts
from costspan.wire.images import IMAGE_EDIT, IMAGE_GENERATION, IMAGE_VARIATION, VIDEO
from costspan.wire.route import Format, Matcher, Route

CHAT = Format(
    "chat",
    "/v1/chat/completions",
    openai.ask,
    openai.read,
    "chat_completions",
    openai.choices_of,
    says_end=True,
    usage_option=True,
)
COMPLETIONS = Format(
    "text_completion", "/v1/completions", openai.ask, openai.read, None, openai.choices_of, says_end=True, usage_option=True
)
RESPONSES = Format("chat", "/v1/responses", openai.ask_response, openai.read, "responses", says_end=True, final_usage=True)
RESPONSE_COMPACT = Format("chat", "/v1/responses/compact", openai.ask, openai.read, "responses")
RESPONSE_FETCH = Format("fetch_response", "/v1/responses/{id}", openai.ask_by_id, openai.read, "responses", fetch=True)
RESPONSE_CANCEL = Format("fetch_response", "/v1/responses/{id}/cancel", openai.ask_by_id, openai.read, "responses", fetch=True)
EMBEDDINGS = Format("embeddings", "/v1/embeddings", openai.ask, openai.read_embeddings)
MODERATIONS = Format("moderation", "/v1/moderations", openai.ask, openai.read, free=True)
"""OpenAI: "the moderation endpoint is free to use"; hosts that charge for theirs state a usage."""

NEEDS_USAGE_OPTION = frozenset(("openai", "azure.ai.openai"))
"""Providers whose streams state usage only where ``stream_options.include_usage`` asks, and who document that it is taken.
DeepSeek, Groq, Together, Mistral and others state it anyway: asking would change nothing, and taking it out again would."""


def _format(method: str, path: str) -> Format | None:
    """The format of a path by its last segments."""
    if method != "POST":
        return None
    for ending, format_ in ENDINGS:
        if path.endswith(ending):
            return format_
    if path.endswith("/completions") and "/prompts/" in path:  # Portkey's stored prompts answer as chat does
        return CHAT
    return None


ENDINGS: tuple[tuple[str, Format], ...] = (
    ("/chat/completions", CHAT),
    ("/v1/completions", COMPLETIONS),
    ("/beta/completions", COMPLETIONS),
    ("/fim/completions", COMPLETIONS),
    ("/v1/responses", RESPONSES),
    ("/v1/responses/compact", RESPONSE_COMPACT),
    ("/v1/embeddings", EMBEDDINGS),
    ("/images/generations", IMAGE_GENERATION),
    ("/images/edits", IMAGE_EDIT),
    ("/images/variations", IMAGE_VARIATION),
    ("/v1/videos", VIDEO),
    ("/audio/speech", SPEECH),
    ("/audio/transcriptions", TRANSCRIPTION),
    ("/audio/translations", TRANSLATION),
    ("/v1/moderations", MODERATIONS),
    ("/v1/text/chatcompletion_v2", CHAT),
)
SHORT_ENDINGS: tuple[tuple[str, Format], ...] = (
    ("/completions", COMPLETIONS),
    ("/responses", RESPONSES),
    ("/embeddings", EMBEDDINGS),
)
"""Without a version before them: Azure, and every gateway whose base URL is its root (LiteLLM's proxy)."""


def matcher(hosts: Hosts) -> Matcher:
    """OpenAI's format at all hosts."""

    def match(method: str, host: str, port: int, path: str) -> Route | None:
        fetched = _fetch_format(method, path)
        found = fetched or _format(method, path)
        provider, known = hosts.provider_of(host, port, path)
        if found is None and method == "POST":
            found = next((format_ for ending, format_ in SHORT_ENDINGS if path.endswith(ending)), None)
        if found is None or (fetched is not None and not known and "/v1/responses/" not in path):
            return None
        accepts = provider in NEEDS_USAGE_OPTION or host in hosts.usage_option
        return Route(provider, found, known, hosts.adds_usage and accepts and found.usage_option)

    return match


def _fetch_format(method: str, path: str) -> Format | None:
    """Retrieval of an answer made earlier: GET /responses/{id} and POST /responses/{id}/cancel."""
    if method == "GET" and path.rpartition("/")[0].endswith("/responses"):
        return RESPONSE_FETCH
    if method == "POST" and path.endswith("/cancel") and path.rpartition("/")[0].rpartition("/")[0].endswith("/responses"):
        return RESPONSE_CANCEL
    return None
