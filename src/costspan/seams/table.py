"""Which modules are patched as they are imported, and by what: a module of this package and its patcher, imported then."""

from costspan.seams.patch import Where

SDKS = (
    "openai._base_client",
    "groq._base_client",
    "together._base_client",
    "cerebras.cloud.sdk._base_client",
    "writerai._base_client",
    "fireworks._base_client",
)
"""SDKs that Stainless generates; anthropic's, which is one too, has a patcher of its own."""

_MISTRAL = ("BaseSDK.do_request", "BaseSDK.do_request_async")
_GOOGLE = ("BaseApiClient._request", "BaseApiClient._async_request")
_GOOGLE_1_0 = ("ApiClient._request", "ApiClient._async_request")
LOOPS: dict[str, tuple[str, ...]] = {
    "mistralai.basesdk": _MISTRAL,  # 1.x
    "mistralai.client.basesdk": _MISTRAL,
    "mistralai.azure.client.basesdk": _MISTRAL,
    "mistralai.gcp.client.basesdk": _MISTRAL,
    "cohere.core.http_client": ("HttpClient.request", "AsyncHttpClient.request"),
    "google.genai._api_client": (*_GOOGLE, *_GOOGLE_1_0),
    "together.abstract.api_requestor": ("APIRequestor.request", "APIRequestor.arequest"),  # 1.x; Stainless' from 2 on
}
"""Methods of other SDKs that loop over the attempts of a call, or call themselves to try again."""

MODULES: dict[str, Where] = {
    "httpx": ("http", "patch"),
    "httpx2": ("http", "patch"),
    "requests": ("requests", "patch"),
    "urllib3.poolmanager": ("urllib3", "patch"),
    "aiohttp": ("aiohttp", "patch"),
    "botocore.httpsession": ("botocore", "patch"),
    "botocore.endpoint": ("botocore", "patch_endpoint"),
    "aiobotocore.endpoint": ("botocore", "patch_async_endpoint"),
    "anthropic._base_client": ("anthropic", "patch"),
    **dict.fromkeys(SDKS, ("sdk", "patch")),
    **dict.fromkeys(LOOPS, ("sdk", "patch_loop")),
}
