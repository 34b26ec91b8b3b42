"""The text fields of multipart bodies: what requests writes is read back, and anything else breaks nothing."""

import requests
from hypothesis import example, given
from hypothesis import strategies as st

from costspan.wire.multipart import TEXT_BYTES, text_fields

NAMES = st.text(st.characters(codec="ascii", exclude_characters='"\\\r\n', exclude_categories=("C",)), min_size=1)


def written(fields: dict[str, str], file: bytes) -> tuple[bytes, str]:
    request = requests.Request("POST", "https://api.openai.com/", data=fields, files={"file": ("a.mp3", file, "audio/mpeg")})
    prepared = request.prepare()
    assert isinstance(prepared.body, bytes)
    return prepared.body, prepared.headers["content-type"]


@given(st.dictionaries(NAMES.filter(lambda name: name != "file"), st.text(max_size=200)), st.binary(max_size=5000))
@example({"model": "whisper-1"}, b'\r\n\r\nContent-Disposition: form-data; name="model"\r\n\r\nno')
def test_what_requests_writes_is_read_back_and_files_are_left_out(fields: dict[str, str], file: bytes):
    assert text_fields(*written(fields, file)) == fields


@given(st.binary(max_size=500), st.binary(max_size=50))
def test_a_body_that_is_broken_breaks_nothing(body: bytes, boundary: bytes):
    assert isinstance(text_fields(b"--x" + body + b"\r\n--x" + boundary, "multipart/form-data; boundary=x"), dict)


def test_what_is_no_form_has_no_fields():
    assert text_fields(b"{}", "application/json") is None
    assert text_fields(b"--x", "multipart/form-data") is None
    assert text_fields(b"--x", 'multipart/mixed; boundary="x"') is None


def test_a_field_cut_short_and_one_too_long_are_left_out():
    body, kind = written({"model": "a", "prompt": "x" * (TEXT_BYTES + 1)}, b"ID3")
    assert text_fields(body, kind) == {"model": "a"}
    assert text_fields(body[:60], kind) == {}
