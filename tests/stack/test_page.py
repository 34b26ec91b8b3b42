"""The page in a real Chromium: clicked through, live, by keyboard alone, and with markup in everything that a sender may say."""

import csv
import io
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from costspan import names
from costspan.ledger.page import PageOptions
from costspan.ledger.serve import Server
from stack.send import Call, send

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
TOKEN = "not-a-real-token-0123456789"  # made up
MARKUP = "<img src=x onerror=window.hacked=1>"
SCRIPT = "</script><script>window.hacked=2</script>"
TEMPLATE = "{{ window.hacked = 3 }} `${window.hacked = 4}` \\` <b>bold</b>"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium here")
