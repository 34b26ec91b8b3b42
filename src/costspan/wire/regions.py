"""Which calls cost more because they are answered in one region: paths of Vertex AI, and tiers put together.

Source: platform.claude.com/docs/en/about-claude/pricing (Claude from 4.5 on: regional and multi-region endpoints cost more than
the global one); Google's own models have such prices from Gemini 3 on (cloud.google.com/vertex-ai/generative-ai/pricing).
"""

import re
from urllib.parse import unquote

from costspan.names import REGIONAL

_ONE_PRICE = re.compile(
    r"claude-(?:[23]|instant|(?:opus|sonnet)-4(?:-[01])?(?:@|-\d{8}|$))|gemini-(?:[12]\b|[a-z])|(?!claude-|gemini-)"
)
_LOCATION = re.compile(r"/locations/([^/]+)/")
_STANDARD = (None, "", "standard", "on_demand")


def is_regional(path: str, model: str | None) -> bool:
    """Whether a call to this path of Vertex AI has a regional price: not at the global location, nor for earlier models."""
    location = _LOCATION.search(path)
    if location is None or unquote(location[1]) == "global":
        return False
    return model is None or _ONE_PRICE.match(model) is None


def in_region(tier: str | None) -> str:
    """`tier` in one region. Of any but the standard tier no such price is known, so it has a name that no price has."""
    return REGIONAL if tier in _STANDARD else f"{tier}_{REGIONAL}"
