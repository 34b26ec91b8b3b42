"""OpenAI's own tools, each charged for beside the tokens. Source: platform.openai.com/docs/pricing ("built-in tools").

A response lists what they did among its output: searches of the web and of stored files have a price a call. What runs in a
container, or makes images, costs what the reply does not say: its unit has no rate, so the call is unpriced. So has a search
of the web whose price is not the usual one.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from costspan.call import Usage
from costspan.wire.fields import Text

HOSTED: Final = "hosted tools"
"""The hint that a request offers one of them: a reply too large to be kept whole may have used it."""
_OFFERED: Final = re.compile(rb'"type"\s*:\s*"(?:web_search|file_search|code_interpreter|image_generation)')
UNKNOWN: Final = "hosted_tools"
"""The unit of what is not known to have been used."""
_UNITS: Final = {
    "web_search_call": "web_searches",
    "file_search_call": "storage_searches",
    "code_interpreter_call": "containers",
    "image_generation_call": "generated_images",
}
_PREVIEW: Final = "preview_web_searches"
"""The unit of the first version's searches by a model that doesn't reason: dearer, and the text they find is free."""
_MINI: Final = "mini_web_searches"
"""The unit of searches by the small models that are charged for a fixed block of text at each, whatever their usage says."""
_PLAIN_MODEL: Final = re.compile(r"(?:ft:)?(?:chatgpt-4o|gpt-4|gpt-3\.5)")
_MINI_MODEL: Final = re.compile(r"(?:ft:)?gpt-4(?:o|\.1)-mini")
SEARCHES: Final = "searches"
"""The hint that the model searches the web at every call, for a fee, and does not say so."""
SEARCH_MODELS: Final = ("-search-preview", "-search-api")


class Action(msgspec.Struct, gc=False):
    """What a tool did; of the web's, only searching costs."""

    type: Text | None = None


class Item(msgspec.Struct, gc=False):
    """An output item, of which only its kind matters."""

    type: Text | None = None
    action: Action | None = None


def offers(body: bytes) -> bool:
    """Whether a request offers one of them. Text that a person wrote has its quotes escaped."""
    return _OFFERED.search(body) is not None


def searches_always(model: str) -> bool:
    """Whether this model of chat completions searches the web at every call."""
    return any(part in model for part in SEARCH_MODELS)


def charge(usage: Usage, output: list[Item] | None, tools: list[Item] | None, model: str, hints: tuple[str, ...]) -> None:
    """Add what the tools did to `usage`. Without the output, those that were offered may have done anything.

    `tools` are those that the response says were offered: they tell the versions of the web's apart.
    """
    units: dict[str, int | float] = dict(usage.units or {})
    if SEARCHES in hints:
        units["web_searches"] = 1
    elif output is None:
        if HOSTED in hints:
            units[UNKNOWN] = 1
    else:
        for item in output:
            unit = _UNITS.get(item.type or "")
            if unit is not None and (item.action is None or item.action.type in (None, "search")):
                unit = _searches(tools or (), model) if unit == "web_searches" else unit
                units[unit] = units.get(unit, 0) + 1
    usage.units = units or None


def _searches(tools: Iterable[Item], model: str) -> str:
    """The unit of a search of the web by this model."""
    if any((tool.type or "").startswith("web_search_preview") for tool in tools):
        return _PREVIEW if _PLAIN_MODEL.match(model) else "web_searches"
    return _MINI if _MINI_MODEL.match(model) else "web_searches"
