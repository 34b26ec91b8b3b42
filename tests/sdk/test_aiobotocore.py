"""aiobotocore goes out over aiohttp: its calls are seen there, and its attempts are one call."""

import asyncio
from typing import Any

import pytest

session = pytest.importorskip("aiobotocore.session")

from sdk.aws_server import AwsServer, document, stream  # noqa: E402
from sdk.boto3_kit import ANSWER, COST, EVENTS, MESSAGES, NOVA, THROTTLED, is_told  # noqa: E402
from telemetry_kit import instrumented  # noqa: E402


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_with_its_attempts_is_one_span(streamed: bool):
    async def use(url: str) -> list[Any]:
        options = {"region_name": "us-east-1", "aws_access_key_id": "AKIDEXAMPLE000001", "aws_secret_access_key": "made-up"}
        async with session.get_session().create_client("bedrock-runtime", endpoint_url=url, **options) as client:
            if not streamed:
                return [(await client.converse(modelId=NOVA, messages=MESSAGES))["output"]]
            response = await client.converse_stream(modelId=NOVA, messages=MESSAGES)
            return [event async for event in response["stream"]]

    with AwsServer() as server, instrumented(providers={f"127.0.0.1:{server.port}": "aws.bedrock"}) as told:
        server.answers.extend([THROTTLED, stream(*EVENTS) if streamed else document(ANSWER)])
        got = asyncio.run(use(server.url))
        assert len(got) == (len(EVENTS) if streamed else 1)
        said = is_told(told, COST, costspan__attempts=2)
        assert [(event.attributes or {})["error.type"] for event in told.one().events] == ["ThrottlingException"]
        assert said["gen_ai.provider.name"] == "aws.bedrock"
