"""Requests that ask no model: those of the providers' own APIs, and those of other programs under the same short paths."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from replay import Exchange, run
from telemetry_kit import Kit, instrumented

MESSAGES = [{"role": "user", "content": "Hi"}]
OTHERS: list[tuple[str, str, Any]] = [
    # of Cohere, Ollama, Mistral ...
    ("POST", "https://api.cohere.com/v1/tokenize", {"text": "a", "model": "command-r"}),
    ("POST", "https://api.cohere.com/v1/detokenize", {"tokens": [1], "model": "command-r"}),
    ("GET", "https://api.cohere.com/v1/models", None),
    ("POST", "https://api.cohere.com/v1/embed-jobs", {"model": "embed-v4.0", "dataset_id": "d"}),
    ("POST", "https://api.cohere.com/v1/datasets", {}),
    ("POST", "https://api.cohere.com/v1/finetuning/finetuned-models", {"name": "x"}),
    ("POST", "http://localhost:11434/api/generate", {"model": "llama3.2", "keep_alive": 0}),
    ("POST", "http://localhost:11434/api/generate", {"model": "llama3.2", "prompt": "", "stream": False}),
    ("POST", "http://localhost:11434/api/chat", {"model": "llama3.2", "messages": []}),
    ("POST", "http://localhost:11434/api/pull", {"model": "llama3.2"}),
    ("POST", "http://localhost:11434/api/show", {"model": "llama3.2"}),
    ("GET", "http://localhost:11434/api/tags", None),
    ("DELETE", "http://localhost:11434/api/delete", {"model": "llama3.2"}),
    ("GET", "https://api.mistral.ai/v1/models", None),
    ("POST", "https://api.mistral.ai/v1/files", {}),
    ("POST", "https://api.mistral.ai/v1/fine_tuning/jobs", {"model": "open-mistral-7b"}),
    ("POST", "https://api.mistral.ai/v1/batch/jobs", {"model": "mistral-small-latest", "input_files": ["f"]}),
    ("GET", "https://api.mistral.ai/v1/conversations/conv_1", None),
    ("GET", "https://api.mistral.ai/v1/conversations/conv_1/history", None),
    ("POST", "https://api.mistral.ai/v1/agents", {"model": "mistral-medium-latest", "name": "a"}),
    ("GET", "https://huggingface.co/api/models/openai-community/gpt2", None),
    ("GET", "https://router.huggingface.co/v1/models", None),
    ("POST", "http://tgi.internal/tokenize", {"inputs": "a"}),
    ("GET", "http://tgi.internal/info", None),
    ("GET", "https://api.replicate.com/v1/models/meta/llama", None),
    ("GET", "https://api.replicate.com/v1/predictions", None),
    ("POST", "https://api.replicate.com/v1/predictions/p1/cancel", None),
    ("POST", "https://api.replicate.com/v1/models/meta/llama/versions/1/trainings", {"input": {}}),
    ("POST", "https://api.jina.ai/v1/segment", {"content": "a"}),
    ("POST", "https://us-south.ml.cloud.ibm.com/ml/v1/text/tokenization", {"model_id": "m", "input": "a"}),
    ("GET", "https://us-south.ml.cloud.ibm.com/ml/v1/foundation_model_specs", None),
    ("POST", "https://iam.cloud.ibm.com/identity/token", None),
    ("GET", "https://api.writer.com/v1/models", None),
    ("POST", "https://api.writer.com/v1/files", {}),
    ("POST", "https://api.ai21.com/studio/v1/tokenize", {"text": "a"}),
    ("POST", "https://api.aleph-alpha.com/tokenize", {"model": "luminous-base", "prompt": "a"}),
    ("GET", "https://api.openai.com/v1/threads/thread_1/runs", None),
    ("GET", "https://api.openai.com/v1/threads/thread_1/runs/run_1/steps", None),
    ("POST", "https://api.openai.com/v1/threads/thread_1/runs/run_1", {"metadata": {}}),
    ("POST", "https://api.openai.com/v1/threads/thread_1/messages", {"role": "user", "content": "Hi"}),
    # of anybody's programs
    ("POST", "https://graphs.example.com/threads/1/runs", {"assistant_id": "agent", "input": {}}),
    ("GET", "https://graphs.example.com/threads/1/runs/2", None),
    ("POST", "https://traces.example.com/api/v1/runs", {"name": "a", "inputs": {}}),
    ("POST", "https://shop.example.com/v1/chat", {"message": "Where is my parcel?"}),
    ("POST", "https://shop.example.com/v1/chat", {"messages": MESSAGES}),
    ("POST", "https://shop.example.com/v2/chat", {"room": 4, "message": "Hi"}),
    ("POST", "https://app.example.com/api/chat", {"id": "1", "messages": MESSAGES, "trigger": "submit"}),
    ("POST", "https://app.example.com/api/generate", {"template": "invoice", "id": 7}),
    ("POST", "https://app.example.com/generate", {"inputs": {"a": 1}}),
    ("POST", "https://app.example.com/generate", {"inputs": "report", "parameters": {"year": 2026}}),
    ("POST", "https://app.example.com/", {"jsonrpc": "2.0", "method": "a", "params": []}),
    ("POST", "https://app.example.com/", {"inputs": "a", "parameters": {"temperature": 21.5}}),
    ("POST", "https://app.example.com/v1/generate", {"prompt": "report"}),
    ("POST", "https://app.example.com/api/embed", {"url": "https://example.com/video"}),
    ("POST", "https://app.example.com/v1/embed", {"texts": ["a"]}),
    ("POST", "https://app.example.com/rerank", {"query": "a", "texts": ["b"]}),
    ("POST", "https://app.example.com/complete", {"model": "car", "prompt": "x"}),
    ("POST", "https://app.example.com/v1/classify", {"image": "x"}),
    ("POST", "https://app.example.com/v1/ocr", {"file": "x"}),
    ("POST", "https://app.example.com/v1/predictions", {"input": {"a": 1}}),
    ("POST", "https://app.example.com/v1/conversations", {"inputs": "a", "model": "m"}),
    ("POST", "https://app.example.com/text/generation", {"input": "a", "model_id": "m"}),
    ("POST", "https://app.example.com/api/chat", "not JSON"),
    ("POST", "https://app.example.com/api/chat", []),
]
CALLS: list[tuple[str, Any, str]] = [
    ("https://gateway.example.com/cohere/v1/chat", {"model": "command-r", "message": "Hi"}, "chat"),
    ("https://gateway.example.com/cohere/v2/chat", {"model": "command-r", "messages": MESSAGES}, "chat"),
    ("https://gateway.example.com/v2/embed", {"model": "embed-v4.0", "texts": ["a"]}, "embeddings"),
    ("https://gateway.example.com/v2/rerank", {"model": "rerank-v3.5", "query": "q", "documents": ["d"]}, "rerank"),
    ("http://gpu.example.com/api/chat", {"model": "llama3.2", "messages": MESSAGES}, "chat"),
    ("http://gpu.example.com/api/generate", {"model": "llama3.2", "prompt": "Hi"}, "text_completion"),
    ("http://gpu.example.com/generate", {"inputs": "Hi", "parameters": {"max_new_tokens": 5}}, "text_completion"),
    ("https://cpd.example.com/ml/v1/text/generation", {"model_id": "m", "input": "Hi"}, "text_completion"),
    ("https://gateway.example.com/v1/ocr", {"model": "mistral-ocr-latest", "document": {}}, "generate_content"),
]


@pytest.fixture(scope="module")
def kit() -> Iterator[Kit]:
    with instrumented() as kit:
        yield kit


def send(method: str, url: str, body: Any) -> None:
    content = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    run(httpx2, Exchange(method, url, headers, content, 200, headers, b'{"ok":true}'))


@pytest.mark.parametrize(("method", "url", "body"), OTHERS)
def test_a_request_that_asks_no_model_is_no_call(kit: Kit, method: str, url: str, body: Any):
    kit.clear()
    send(method, url, body)
    assert kit.spans() == []


@pytest.mark.parametrize(("url", "body", "operation"), CALLS)
def test_a_gateway_asked_in_a_providers_format_is_a_call_under_its_own_name(kit: Kit, url: str, body: Any, operation: str):
    kit.clear()
    send("POST", url, body)
    said = kit.attributes()
    assert said["gen_ai.operation.name"] == operation
    assert said["gen_ai.provider.name"] == url.split("/")[2]
