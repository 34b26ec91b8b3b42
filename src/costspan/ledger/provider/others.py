"""Embeddings, images, audio, moderations, and the lists that are no inference.

Shapes: https://platform.openai.com/docs/api-reference, the sections of these names.
"""

import base64
import struct
import time
from typing import Any, cast

from costspan.ledger.provider.asked import Asked, Reply, count, encode, said_usage, sse
from costspan.ledger.provider.bill import PRICES, Charge, Tokens
from costspan.ledger.provider.chat import ERROR_EVENT
from costspan.ledger.provider.text import words

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()
SOUND = b"ID3\x04" + bytes(2_048)
STREAM = "text/event-stream"


def embeddings(asked: Asked) -> Reply:
    """Answers ``POST /v1/embeddings``, as floats or, as the SDK asks, as base64 of little-endian float32."""
    given: Any = asked.fields.get("input")
    listed = cast("list[object]", given if isinstance(given, list) else [given])
    inputs = [listed] if listed and isinstance(listed[0], int) else listed
    size = asked.fields.get("dimensions") or 8
    used = said_usage(asked) or Tokens(
        sum(len(cast("list[int]", one)) if isinstance(one, list) else count(one) for one in inputs)
    )
    vector = [((index * 37) % 100 - 50) / 64 for index in range(size)]
    packed = asked.fields.get("encoding_format") == "base64"
    shown = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode() if packed else vector
    data = [{"object": "embedding", "index": index, "embedding": shown} for index in range(len(inputs))]
    usage = {"prompt_tokens": used.input, "total_tokens": used.input}
    return Reply(
        body=encode({"object": "list", "data": data, "model": asked.model, "usage": usage}),
        charge=Charge(asked.model, used),
    )


def images(asked: Asked) -> Reply:
    """Answers ``POST /v1/images/generations`` and ``/edits``: usage for gpt-image models, none for DALL-E."""
    prompt = count(asked.fields.get("prompt"))
    number = int(asked.fields.get("n") or 1)
    if not asked.model.startswith("gpt-image"):
        data = [{"url": f"https://images.invalid/{index}.png", "revised_prompt": None} for index in range(number)]
        return Reply(body=encode({"created": int(time.time()), "data": data}), charge=Charge(asked.model, Tokens()))
    pictured = 323 if asked.path.endswith("/edits") else 0
    used = said_usage(asked) or Tokens(prompt + pictured, 272 * number, image_input=pictured, image_output=272 * number)
    usage = {
        "total_tokens": used.input + used.output,
        "input_tokens": used.input,
        "output_tokens": used.output,
        "input_tokens_details": {"text_tokens": used.input - used.image_input, "image_tokens": used.image_input},
    }
    look = {"background": "opaque", "output_format": "png", "quality": "low", "size": "1024x1024"}
    created, charge = {"created": int(time.time())}, Charge(asked.model, used)
    if not asked.stream:
        return Reply(body=encode({**created, **look, "data": [{"b64_json": PNG}] * number, "usage": usage}), charge=charge)
    picture = {"created_at": int(time.time()), "b64_json": PNG, **look}
    partial, done = "image_generation.partial_image", "image_generation.completed"
    events = [
        sse(encode({"type": partial, "partial_image_index": 0, **picture}), partial),
        sse(encode({"type": done, **picture, "usage": usage}), done),
    ]
    return Reply(events=events, media=STREAM, charge=charge, error_event=ERROR_EVENT)


def speech(asked: Asked) -> Reply:
    """Answers ``POST /v1/audio/speech``: bytes without usage, or, with ``stream_format: sse``, events with it."""
    said = asked.fields.get("input")
    text = said if isinstance(said, str) else ""
    if asked.model.startswith("tts-"):
        return Reply(body=SOUND, media="audio/mpeg", charge=Charge(asked.model, Tokens(characters=len(text))))
    used = said_usage(asked) or Tokens(count(text), 3 * count(text), audio_output=3 * count(text))
    charge = Charge(asked.model, used)
    if asked.fields.get("stream_format") != "sse":
        return Reply(body=SOUND, media="audio/mpeg", charge=charge)
    usage = {"input_tokens": used.input, "output_tokens": used.output, "total_tokens": used.input + used.output}
    sound = base64.b64encode(SOUND).decode()
    events = [
        sse(encode({"type": "speech.audio.delta", "audio": sound})),
        sse(encode({"type": "speech.audio.done", "usage": usage})),
    ]
    return Reply(events=events, media=STREAM, charge=charge, error_event=ERROR_EVENT)


def transcriptions(asked: Asked) -> Reply:
    """Answers ``POST /v1/audio/transcriptions`` and ``/translations``: tokens for gpt-4o models, seconds for whisper."""
    pieces = words(asked.body[-256:], 12)
    text = "".join(pieces)
    used = said_usage(asked) or Tokens(30, len(pieces), audio_input=30, seconds=3)
    used = used._replace(input=0, output=0, audio_input=0) if asked.model == "whisper-1" else used._replace(seconds=0)
    charge = Charge(asked.model, used)
    usage: dict[str, Any] = {
        "type": "tokens",
        "input_tokens": used.input,
        "input_token_details": {"text_tokens": used.input - used.audio_input, "audio_tokens": used.audio_input},
        "output_tokens": used.output,
        "total_tokens": used.input + used.output,
    }
    if asked.model == "whisper-1":
        usage = {"type": "duration", "seconds": used.seconds}
    form = asked.fields.get("response_format")
    if form in ("text", "srt", "vtt"):
        return Reply(body=text.encode() + b"\n", media="text/plain; charset=utf-8", charge=charge)
    if asked.stream:
        events = [sse(encode({"type": "transcript.text.delta", "delta": piece})) for piece in pieces]
        events.append(sse(encode({"type": "transcript.text.done", "text": text, "usage": usage})))
        return Reply(events=events, media=STREAM, charge=charge, error_event=ERROR_EVENT)
    if form == "verbose_json":
        task = "translate" if asked.path.endswith("/translations") else "transcribe"
        verbose = {"task": task, "language": "english", "duration": 3.0, "segments": list[Any]()}
        return Reply(body=encode({**verbose, "text": text, "usage": usage}), charge=charge)
    return Reply(body=encode({"text": text, "usage": usage}), charge=charge)


def moderations(asked: Asked) -> Reply:
    """Answers ``POST /v1/moderations``: free, and without usage."""
    names = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")
    result = {
        "flagged": False,
        "categories": dict.fromkeys(names, False),
        "category_scores": dict.fromkeys(names, 0.0001),
        "category_applied_input_types": {name: ["text"] for name in names},
    }
    model = asked.model or "omni-moderation-latest"
    return Reply(body=encode({"id": f"modr-{asked.number}", "model": model, "results": [result]}), charge=Charge(model, Tokens()))


def models(_asked: Asked) -> Reply:
    """Answers ``GET /v1/models``."""
    data = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "system"} for name in PRICES]
    return Reply(body=encode({"object": "list", "data": data}))


def files(asked: Asked) -> Reply:
    """Answers ``GET`` and ``POST /v1/files``."""
    file = {
        "id": f"file-{asked.number:024d}",
        "object": "file",
        "bytes": len(asked.body),
        "created_at": int(time.time()),
        "filename": "file.jsonl",
        "purpose": "batch",
        "status": "processed",
    }
    return Reply(body=encode(file if asked.method == "POST" else {"object": "list", "data": [file], "has_more": False}))
