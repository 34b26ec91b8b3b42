"""The text fields of a ``multipart/form-data`` body that is there as bytes (RFC 7578). Its files are passed over, not copied."""

import re

_BOUNDARY = re.compile(r'boundary="?([^";,]+)"?', re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name="([^"]*)"', re.IGNORECASE)
HEADER_BYTES = 4096
"""Most that is looked at of a part's headers."""
TEXT_BYTES = 64 * 1024
"""A longer field is no setting of a call."""


def text_fields(body: bytes, content_type: str) -> dict[str, str] | None:
    """The fields of `body` that are no files, the last of each name; None where `content_type` says that it is no form."""
    boundary = _BOUNDARY.search(content_type) if content_type.lower().startswith("multipart/form-data") else None
    if boundary is None:
        return None
    mark = b"--" + boundary[1].strip().encode("latin-1", "replace")
    fields: dict[str, str] = {}
    start = body.find(mark)
    while start >= 0:
        start += len(mark)
        end = body.find(b"\r\n" + mark, start)
        head = body.find(b"\r\n\r\n", start, min(start + HEADER_BYTES, end if end >= 0 else len(body)))
        if end < 0 or head < 0:
            break
        headers = body[start:head]
        name = _NAME.search(headers)
        if name is not None and b"filename" not in headers.lower() and end - head <= TEXT_BYTES:
            fields[name[1].decode("utf-8", "replace")] = body[head + 4 : end].decode("utf-8", "replace")
        start = end + 2
    return fields
