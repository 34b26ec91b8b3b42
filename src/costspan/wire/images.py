"""OpenAI's image endpoints, and videos. Source: platform.openai.com/docs/api-reference/images, .../videos.

Their ``usage.output_tokens`` are image tokens ("the number of image tokens in the output image"); dall-e models state no usage.
Videos are made after the reply, and billed by the second: nothing states what they used.
"""

from costspan import names
from costspan.call import Call
from costspan.wire import openai
from costspan.wire.route import Format, Sent

OPERATION = "generate_content"


def ask(sent: Sent, call: Call) -> bool:
    asked = openai.ask(sent, call)
    call.asked = {**(call.asked or {}), names.OUTPUT_TYPE: "image"}
    return asked


def read(document: bytes, call: Call) -> bool:
    before = call.usage
    done = openai.read(document, call)
    if (usage := call.usage) is not None and usage is not before and usage.output_image_tokens is None:
        usage.output_image_tokens = usage.output_tokens
    return done


VIDEO = Format(OPERATION, "/v1/videos", openai.ask, openai.read)
IMAGE_GENERATION = Format(OPERATION, "/v1/images/generations", ask, read)
IMAGE_EDIT = Format(OPERATION, "/v1/images/edits", ask, read)
IMAGE_VARIATION = Format(OPERATION, "/v1/images/variations", ask, read)
