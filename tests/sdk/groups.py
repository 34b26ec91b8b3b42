"""What `matrix.py` installs together: the oldest and the newest version of each SDK, a major at a time."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ALL = ("tests/sdk",)
SDKS = ("tests/sdk/every", "tests/sdk/test_anthropic_spans.py")
OLD_HTTPX = "httpx>=0.27,<0.28"
"""Releases of these SDKs before the end of 2024 pass an argument that httpx 0.28 refuses."""
HTTPX = "httpx>=0.27,<1"
NEWEST = ("mistralai>=3", "groq>=1", "together>=3", "cohere>=7", "ollama>=0.6", "cerebras-cloud-sdk>=1.60", "fireworks-ai>=1.2")
"""Newest ones that go together."""


class Group(NamedTuple):
    """What is installed together, and what is run on it."""

    sdks: tuple[str, ...]
    """Requirements. Of each, docs/coverage.md has a row."""
    beside: tuple[str, ...] = ()
    """Requirements that have no row of their own."""
    tests: tuple[str, ...] = SDKS

    @property
    def requirements(self) -> tuple[str, ...]:
        return (*self.sdks, *self.beside)


def name_of(requirement: str) -> str:
    """``boto3`` of ``boto3>=1.35``."""
    return re.split(r"[=<>~!]", requirement)[0].strip()


def oldest() -> str:
    """The lower bound on openai that pyproject.toml promises."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [found] = [match[1] for one in project["optional-dependencies"]["demo"] if (match := re.fullmatch(r"openai>=([\d.]+)", one))]
    return found


def groups() -> dict[str, Group]:
    """What to install, by the name it is shown under; those that take longest first."""
    first = oldest()
    exact = f"openai=={first}.0" if first.count(".") == 1 else f"openai=={first}"
    old_clients = ("requests==2.31.0", "urllib3<2", "aiohttp==3.9.2", "aiobotocore==2.15.0")
    return {
        f"openai-{first}": Group((exact, "boto3==1.35.16"), (OLD_HTTPX, *old_clients), ALL),
        "openai-newest": Group(("openai>=3", "boto3>=1.35"), ("aiohttp>=3.9", "requests>=2.31", "aiobotocore>=2.15"), ALL),
        "openai-1.x": Group(("openai>=1,<2",), (HTTPX,), ALL),
        "openai-2.0.0": Group(("openai==2.0.0",), (HTTPX,), ALL),
        "openai-2.x": Group(("openai>=2,<3",), (HTTPX,), ALL),
        "openai-3.0.0": Group(("openai==3.0.0",), (HTTPX,), ALL),
        "newest": Group((*NEWEST, "openai>=3", "anthropic>=2", "google-genai>=3", "huggingface_hub>=2", "boto3>=1.40")),
        "newest-litellm": Group(("litellm>=1.100", "openai>=1.30")),
        "first-of-major": Group(
            (
                *("anthropic==2.0.0", "google-genai==3.0.0", "mistralai==3.0.0", "groq==1.0.0", "together==3.0.0"),
                *("cohere==7.0.0", "huggingface_hub==2.0.0", "openai>=1.30"),
            )
        ),
        "major-before": Group(
            (
                *("anthropic>=1,<2", "google-genai>=2,<3", "mistralai>=2,<3", "groq<1", "together>=2,<3", "cohere>=6,<7"),
                *("huggingface_hub>=1,<2", "openai>=1.30,<3"),
            )
        ),
        "major-before-that": Group(
            (
                *("anthropic<1", "google-genai>=1,<2", "mistralai>=1,<2", "together>=1,<2", "cohere>=5,<6"),
                *("huggingface_hub>=0.30,<1", "openai>=1.30,<2"),
            ),
            ("aiohttp>=3.9",),
        ),
        "oldest": Group(
            (
                *("anthropic==0.40.0", "groq==0.9.0", "mistralai==1.0.0", "cohere==5.5.0", "ollama==0.3.0"),
                *("cerebras-cloud-sdk==1.0.0", "huggingface_hub==0.30.0", "openai==1.30.0", "boto3==1.35.0"),
            ),
            (OLD_HTTPX, "aiohttp>=3.9"),
        ),
        "oldest-two": Group(("google-genai==1.0.0", "together==1.3.0", "litellm==1.60.0", "openai>=1.30"), ("aiohttp>=3.9",)),
        "beside-others": Group(
            (),
            (
                *("openai>=2,<3", HTTPX, "requests>=2.31", "aiohttp>=3.9"),
                *("opentelemetry-instrumentation-genai-openai>=1.3b0", "opentelemetry-instrumentation-openai>=0.62"),
                *("openinference-instrumentation-openai>=0.1.66", "opentelemetry-instrumentation-httpx>=0.66b0"),
                *("opentelemetry-instrumentation-requests>=0.66b0", "opentelemetry-instrumentation-aiohttp-client>=0.66b0"),
            ),
            ("tests/sdk/test_counted_once.py",),
        ),
    }
