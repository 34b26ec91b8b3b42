"""boto3, on Bedrock's Converse. More of it, InvokeModel above all, is in test_boto3.py."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from sdk.kit import Drive
from sdk.sdks.base import TEXT, Sdk


class Boto3(Sdk):
    name = module = "boto3"
    key, provider = "bedrock", "aws.bedrock"
    model = "us.amazon.nova-lite-v1:0"
    path = "/model/us.amazon.nova-lite-v1:0/converse"
    stream_path = "/model/us.amazon.nova-lite-v1:0/converse-stream"
    retry_headers: ClassVar = {"x-amzn-errortype": "ThrottlingException"}
    volatile = ("responsemetadata", "stream")

    def _client(self, drive: Drive, service: str, retries: int = 0) -> Any:
        if drive.asynchronous:
            pytest.skip("it has no asynchronous client: see test_aiobotocore.py")
        import boto3
        from botocore.config import Config

        secret = {"aws_access_key_id": self.api_key, "aws_secret_access_key": "made-up", "region_name": "us-east-1"}
        config = Config(retries={"total_max_attempts": retries + 1, "mode": "standard"})
        return drive.keep(boto3.client(service, endpoint_url=drive.provider.root_url, config=config, **secret))

    def client(self, drive: Drive, retries: int = 0) -> Any:
        return self._client(drive, "bedrock-runtime", retries)

    def _asked(self) -> dict[str, Any]:
        return {"modelId": self.model, "messages": [{"role": "user", "content": [{"text": TEXT}]}]}

    def plain(self, drive: Drive, client: Any) -> Any:
        return client.converse(**self._asked())

    def open(self, drive: Drive, client: Any) -> Any:
        return client.converse_stream(**self._asked())["stream"]

    def no_inference(self) -> dict[str, Callable[[Drive, Any], Any]]:
        def models(drive: Drive, client: Any) -> Any:
            return self._client(drive, "bedrock").list_foundation_models()

        return {"list_foundation_models": models}
