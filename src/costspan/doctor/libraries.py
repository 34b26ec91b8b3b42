"""What is installed here, and whether its calls are seen: by which HTTP client, or why not."""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from costspan.doctor.finding import Finding
from costspan.exchange import ERRORS
from costspan.seams.patch import Patches
from costspan.seams.table import MODULES

SECTION: Final = "Libraries"
CLIENTS: Final[dict[str, str]] = {
    "httpx": "httpx",
    "httpx2": "httpx2",
    "requests": "requests",
    "urllib3": "urllib3.poolmanager",
    "aiohttp": "aiohttp",
    "botocore": "botocore.httpsession",
}
"""HTTP clients by their distribution, and the module whose import they are patched at."""
SDKS: Final[dict[str, str]] = {
    "openai": "httpx2 from 3.0 on, httpx before",
    "anthropic": "httpx2 from 2.0 on, httpx before",
    "google-genai": "httpx2 from 3.0 on, httpx before (aiohttp for async calls where it is installed)",
    "mistralai": "httpx2 from 3.0 on, httpx before",
    "groq": "httpx",
    "together": "httpx (requests and aiohttp before 2.0)",
    "cohere": "httpx",
    "ollama": "httpx",
    "fireworks-ai": "httpx",
    "cerebras-cloud-sdk": "httpx",
    "writer-sdk": "httpx",
    "boto3": "botocore",
    "huggingface-hub": "httpx from 1.0 on, requests before",
    "litellm": "httpx and aiohttp",
    "replicate": "httpx",
    "voyageai": "requests and aiohttp",
    "ai21": "httpx",
    "ibm-watsonx-ai": "httpx and requests",
    "portkey-ai": "httpx",
    "azure-ai-inference": "requests and aiohttp",
}
UNSEEN: Final[dict[str, str]] = {
    "google-cloud-aiplatform": "speaks gRPC unless it is asked for transport='rest'; google-genai speaks HTTP and is seen",
    "google-generativeai": "speaks gRPC unless it is asked for transport='rest'; it is superseded by google-genai, which is seen",
    "curl-cffi": "an HTTP client that is not patched",
    "pycurl": "an HTTP client that is not patched",
    "llama-cpp-python": "runs models inside the process: no call is made; its server is seen by its clients",
    "vllm": "runs models inside the process: no call is made; its server is seen by its clients",
    "transformers": "runs models inside the process: no call is made",
}
"""Installed ones that make calls, or seem to, of which costspan sees nothing."""


def installed(distribution: str) -> str | None:
    """The version that is installed, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def check() -> Iterator[Finding]:
    """Patch each HTTP client that is here, for a moment, and say of each SDK what it is seen by."""
    seen = _patched(tuple(module for name, module in CLIENTS.items() if installed(name)))
    any_client = False
    for name, module in CLIENTS.items():
        found = installed(name)
        if found is None:
            yield Finding(SECTION, "note", f"{name} is not installed")
        elif module in seen:
            any_client = True
            yield Finding(SECTION, "ok", f"{name} {found}: its requests are seen")
        else:
            yield Finding(
                SECTION,
                "problem",
                f"{name} {found} can't be patched: its calls would not be seen",
                f"Report it with this version, or use another one. What went wrong: {_wrong()}",
            )
    if not any_client:
        yield Finding(
            SECTION, "warning", "no HTTP client is installed that costspan sees", "Is this the program's own environment?"
        )
    for name, by in SDKS.items():
        if (found := installed(name)) is not None:
            yield Finding(SECTION, "ok", f"{name} {found}: seen by {by}")
    for name, why in UNSEEN.items():
        if (found := installed(name)) is not None:
            yield Finding(SECTION, "warning", f"{name} {found} is not seen: it {why}", _advice(why))


def _advice(why: str) -> str:
    return "Calls that it makes are missing from spans, metrics and the ledger." if "no call is made" not in why else ""


def _patched(modules: tuple[str, ...]) -> frozenset[str]:
    """Which of these modules could be patched; all is put back."""
    patches = Patches({module: MODULES[module] for module in modules if module in MODULES})
    try:
        patches.install()
        for module in modules:
            import_module(module)
        return frozenset(patches.seen)
    finally:
        patches.restore()


def _wrong() -> str:
    return ", ".join(f"{kind} in {where}" for where, kind in ERRORS) or "no error was told"
