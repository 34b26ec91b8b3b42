"""All wire formats under one router. A provider is one file and one line here (docs/adding-a-provider.md)."""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from costspan.settings import Settings
from costspan.wire.hosts import Hosts
from costspan.wire.route import Format, Matcher, Router, Wire

WIRES: tuple[Wire, ...] = (
    Wire("anthropic", last=("batches", "complete", "count_tokens", "messages"), verbs=("rawPredict", "streamRawPredict")),
    Wire("batches", parents=("batches",)),
    Wire("anthropic_batches", last=("results",), parents=("batches",)),
    Wire(
        "google",
        last=("cancel", "interactions"),
        parents=("interactions",),
        verbs=(
            "asyncBatchEmbedContent",
            "batchEmbedContents",
            "batchGenerateContent",
            "countTokens",
            "embedContent",
            "generateContent",
            "predict",
            "predictLongRunning",
            "rawPredict",
            "streamGenerateContent",
            "streamRawPredict",
        ),
        hosts=("googleapis.com",),
    ),
    Wire("gemini_batches", parents=("batches",), verbs=("download",)),
    Wire("assistants", last=("runs", "submit_tool_outputs"), parents=("runs",)),
    Wire("bedrock", last=("converse", "converse-stream", "count-tokens", "invoke", "invoke-with-response-stream", "rerank")),
    Wire("bedrock_agents", last=("retrieveAndGenerate", "retrieveAndGenerateStream", "text"), parents=("agents",)),
    Wire("served", last=("invocations", "invocations-response-stream")),
    Wire("snowflake", verbs=("complete", "embed")),
    Wire("dashscope", last=("generation", "multimodal-embedding", "text-embedding", "text-rerank")),
    Wire("cloudflare", hosts=("api.cloudflare.com", "gateway.ai.cloudflare.com")),
    Wire("cohere", last=("chat", "classify", "embed", "generate")),
    Wire("ollama", last=("chat", "embed", "embeddings", "generate")),
    Wire(
        "mistral",
        last=("classifications", "completions", "conversations", "moderations", "ocr", "restart"),
        parents=("conversations",),
    ),
    Wire(
        "huggingface",
        last=("", "feature-extraction", "generate", "generate_stream"),
        hosts=("api-inference.huggingface.co", "router.huggingface.co"),
    ),
    Wire(
        "replicate",
        last=("predictions",),
        parents=("predictions",),
        hosts=("stream.replicate.com", "streaming.api.replicate.com", "streaming-api.svc.us.c.replicate.net"),
    ),
    Wire("voyage", last=("contextualizedembeddings", "embeddings", "multimodalembeddings")),
    Wire("jina", last=("classify", "embeddings", "multi-vector")),
    Wire(
        "watsonx", last=("chat", "chat_stream", "embeddings", "generation", "generation_stream", "rerank", "text", "text_stream")
    ),
    Wire("writer", last=("chat", "completions")),
    Wire("ai21", last=("chat", "complete")),
    Wire("aleph_alpha", last=("batch_semantic_embed", "complete", "embed", "semantic_embed")),
    Wire("rerank", last=("ranking", "rerank", "reranking")),
    Wire(
        "compatible",
        last=(
            "cancel",
            "chatcompletion_v2",
            "compact",
            "completions",
            "edits",
            "embeddings",
            "generations",
            "moderations",
            "responses",
            "speech",
            "transcriptions",
            "translations",
            "variations",
            "videos",
        ),
        parents=("responses",),
    ),
)
"""In the order in which they are asked; the format that many hosts speak comes last."""


def module_of(name: str) -> ModuleType:
    """A format's module."""
    return import_module(f"costspan.wire.{name}")


def router(settings: Settings) -> Router:
    """The router of a process, with the hosts that its settings name."""
    hosts = Hosts(settings)

    def load(name: str) -> Matcher:
        return module_of(name).matcher(hosts)

    return Router(WIRES, load)


def formats() -> Iterator[tuple[str, Format]]:
    """(module's name, `Format`) of all that is read, as the modules of `WIRES` declare it: for documentation and tests."""
    seen: set[int] = set()
    for wire in WIRES:
        module = module_of(wire.module)
        for part in (module, *_helpers(module)):
            for value in vars(part).values():
                if isinstance(value, Format) and id(value) not in seen:
                    seen.add(id(value))
                    yield wire.module, value


def _helpers(module: ModuleType) -> Iterator[ModuleType]:
    """The modules of this package that `module` works by, and that register nothing themselves."""
    for value in vars(module).values():
        if isinstance(value, ModuleType) and value.__name__.startswith("costspan.wire.") and not hasattr(value, "matcher"):
            yield value
