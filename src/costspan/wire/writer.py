"""Writer: chat and completions. Its chat is OpenAI's format under a path of its own, with singular ``prompt_token_details``.

Source: dev.writer.com/api-reference. Completions state no usage, plain or streamed, and their streams (``{"value": ...}``) no
end. Files, graphs, models and applications' jobs are no inference.
"""

from costspan.wire import openai
from costspan.wire.endings import posted
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher

CHAT = Format("chat", "/v1/chat", openai.ask, openai.read, None, openai.choices_of, says_end=True)
COMPLETIONS = Format("text_completion", "/v1/completions", openai.ask, openai.read)


def matcher(hosts: Hosts) -> Matcher:
    """Writer's own host."""
    return posted(hosts, {"/v1/chat": CHAT, "/v1/completions": COMPLETIONS}, ("writer",), elsewhere=False)
