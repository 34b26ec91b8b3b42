"""OpenAI's audio endpoints. Source: platform.openai.com/docs/api-reference/audio.

Speech answers with sound: only its event stream states a usage, else the call is unmetered. Transcriptions and translations
state tokens or seconds in JSON (plain or streamed), nothing in the text formats.
"""

from costspan import names
from costspan.call import Call
from costspan.wire import openai
from costspan.wire.route import Format, Sent

OPERATION = "generate_content"


def ask_speech(sent: Sent, call: Call) -> bool:
    asked = openai.ask(sent, call)
    call.asked = {**(call.asked or {}), names.OUTPUT_TYPE: "speech"}
    return asked


def ask_text(sent: Sent, call: Call) -> bool:
    asked = openai.ask(sent, call)
    call.asked = {**(call.asked or {}), names.OUTPUT_TYPE: "text"}
    return asked


SPEECH = Format(OPERATION, "/v1/audio/speech", ask_speech, openai.read)
TRANSCRIPTION = Format(OPERATION, "/v1/audio/transcriptions", ask_text, openai.read)
TRANSLATION = Format(OPERATION, "/v1/audio/translations", ask_text, openai.read)
