"""Which modules are patched, and by what."""

from costspan.seams import http, sdk
from costspan.seams.patch import Patcher

MODULES: dict[str, Patcher] = {"httpx": http.patch, "httpx2": http.patch, **dict.fromkeys(sdk.BASE_CLIENTS, sdk.patch)}
