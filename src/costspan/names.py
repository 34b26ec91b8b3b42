"""Every name costspan emits or reads: span attributes, metrics, events, settings.

No other module spells out an attribute or metric name. The ``gen_ai.`` names are those of the OpenTelemetry GenAI
semantic conventions at `CONVENTIONS`; the cost names follow the open proposal semantic-conventions-genai#443.
``tests/test_names.py`` holds them to the conventions' own facts.
"""

from typing import Final, Literal, NamedTuple

CONVENTIONS: Final = "semantic-conventions-genai main 2026-10-09"
SCOPE: Final = "costspan"

# -- attributes of the conventions
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_ID: Final = "gen_ai.agent.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"
TOKEN_MODALITY: Final = "gen_ai.token.modality"
EMBEDDING_DIMENSIONS: Final = "gen_ai.embeddings.dimension.count"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_TOP_K: Final = "gen_ai.request.top_k"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
REQUEST_ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
REQUEST_PREVIOUS_RESPONSE_ID: Final = "gen_ai.request.previous_response.id"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_STATUS: Final = "gen_ai.response.status"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
USAGE_TEXT_INPUT: Final = "gen_ai.usage.text.input_tokens"
USAGE_AUDIO_INPUT: Final = "gen_ai.usage.audio.input_tokens"
USAGE_IMAGE_INPUT: Final = "gen_ai.usage.image.input_tokens"
USAGE_AUDIO_CACHE_READ: Final = "gen_ai.usage.audio.cache_read.input_tokens"
USAGE_IMAGE_CACHE_READ: Final = "gen_ai.usage.image.cache_read.input_tokens"
USAGE_TEXT_CACHE_READ: Final = "gen_ai.usage.text.cache_read.input_tokens"
USAGE_TEXT_OUTPUT: Final = "gen_ai.usage.text.output_tokens"
USAGE_AUDIO_OUTPUT: Final = "gen_ai.usage.audio.output_tokens"
USAGE_IMAGE_OUTPUT: Final = "gen_ai.usage.image.output_tokens"
COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_SOURCE: Final = "gen_ai.usage.cost.source"
OPENAI_API_TYPE: Final = "openai.api.type"
OPENAI_REQUEST_TIER: Final = "openai.request.service_tier"
OPENAI_RESPONSE_TIER: Final = "openai.response.service_tier"
OPENAI_FINGERPRINT: Final = "openai.response.system_fingerprint"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
HTTP_STATUS: Final = "http.response.status_code"
ERROR_TYPE: Final = "error.type"
ERROR_OTHER: Final = "_OTHER"
USER_ID: Final = "user.id"
SESSION_ID: Final = "session.id"
CLIENT_ADDRESS: Final = "client.address"
USER_AGENT: Final = "user_agent.original"
SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment.name"

# -- attributes of costspan's own
TEAM: Final = "costspan.team"
PROJECT: Final = "costspan.project"
ORGANISATION: Final = "costspan.organisation"
ENVIRONMENT: Final = "costspan.environment"
LABEL_PREFIX: Final = "costspan.label."
API_KEY: Final = "costspan.api_key"
API_KEY_NAME: Final = "costspan.api_key.name"
COST_STATE: Final = "costspan.cost.state"
PRICE_VERSION: Final = "costspan.price.version"
ENDPOINT: Final = "costspan.endpoint"
ATTEMPTS: Final = "costspan.attempts"
ENDED: Final = "costspan.ended"
REQUEST_ID: Final = "costspan.request.id"
REQUEST_FINGERPRINT: Final = "costspan.request.fingerprint"
REQUEST_TIER: Final = "costspan.request.service_tier"
REQUEST_REASONING_BUDGET: Final = "costspan.request.reasoning_budget"
RESPONSE_TIER: Final = "costspan.response.service_tier"
CONTEXT_WINDOW: Final = "costspan.context_window.size"
CONTEXT_USED: Final = "costspan.context_window.used"
BATCH: Final = "costspan.batch"
PROVIDER_ORGANISATION: Final = "costspan.provider.organisation"
PROVIDER_PROJECT: Final = "costspan.provider.project"
ERROR_CODE: Final = "costspan.error.code"
ERROR_MESSAGE: Final = "costspan.error.message"
FETCHED_INPUT: Final = "costspan.fetched.input_tokens"
FETCHED_OUTPUT: Final = "costspan.fetched.output_tokens"
FETCHED_CACHE_READ: Final = "costspan.fetched.cache_read.input_tokens"
FETCHED_CACHE_WRITE: Final = "costspan.fetched.cache_write.input_tokens"
FETCHED_REASONING: Final = "costspan.fetched.reasoning.output_tokens"
FETCHED_COST_AMOUNT: Final = "costspan.fetched.cost.amount"
FETCHED_COST_CURRENCY: Final = "costspan.fetched.cost.currency"
FETCHED_COST_SOURCE: Final = "costspan.fetched.cost.source"
USAGE_CACHE_WRITE_1H: Final = "costspan.usage.cache_write_1h.input_tokens"
USAGE_UNIT_PREFIX: Final = "costspan.usage."
ATTEMPT_NUMBER: Final = "costspan.attempt.number"
ATTEMPT_ELAPSED: Final = "costspan.attempt.elapsed"
ATTEMPT_RETRY_AFTER: Final = "costspan.attempt.retry_after"
ATTEMPT_LIST: Final = "costspan.attempt.list"
CALL_STARTED: Final = "costspan.call.started"
CALL_DURATION: Final = "costspan.call.duration"
DEMO: Final = "costspan.demo"
LABEL_NAME: Final = "costspan.label.name"
ERROR_WHERE: Final = "costspan.error.where"

# -- events
EVENT_CALL: Final = "gen_ai.client.inference.operation.details"
EVENT_ATTEMPT: Final = "costspan.attempt"

LOG_LOGGER: Final = "costspan"
CALL_LOGGER: Final = "costspan.call"

CostState = Literal["priced", "unpriced", "unmetered", "partial"]
"""priced: the amount is exact; unpriced: usage known, no price; unmetered: a complete reply that says no usage;
partial: stopped or broken before its usage, so the provider bills it and the amount is unknown."""
PRICED: Final = "priced"
UNPRICED: Final = "unpriced"
UNMETERED: Final = "unmetered"
PARTIAL: Final = "partial"
REGIONAL: Final = "regional"
"""The tier of inference that stays in a region, where that has a price of its own."""
BY_LEDGER: Final = "ledger"
"""The cost source of calls that the ledger priced, from the tokens that another instrumentation said; `BY_ESTIMATE` where those
are known to be a guess or incomplete, and `BY_SENDER` where only that instrumentation's own price list has the model."""
BY_ESTIMATE: Final = "estimate"
BY_SENDER: Final = "sender"

# -- metrics
Kind = Literal["histogram", "counter", "gauge"]
SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS: Final = tuple(float(4**n) for n in range(14))
DOLLARS: Final = (1e-6, 1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 25.0)
CALL_LABELS: Final = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT)
"""What every call metric is labelled with, besides the labels of COSTSPAN_METRIC_LABELS and, on failures, error.type."""


def prometheus_label(attribute: str) -> str:
    """An attribute's name as the Collector's Prometheus exporter writes it."""
    return attribute.replace(".", "_")


class Metric(NamedTuple):
    """One instrument: its OpenTelemetry identity and the name Prometheus knows it by."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = CALL_LABELS
    buckets: tuple[float, ...] = ()

    @property
    def prometheus(self) -> str:
        """The name after the Collector's Prometheus exporter: unit and ``_total`` appended (``{...}`` units are not)."""
        unit = {"s": "_seconds", "USD": "_USD"}.get(self.unit, "")
        return prometheus_label(self.name) + unit + ("_total" if self.kind == "counter" else "")


DURATION: Final = Metric("gen_ai.client.inference.duration", "histogram", "s", "Time of one inference call.", buckets=SECONDS)
EMBEDDINGS_DURATION: Final = Metric(
    "gen_ai.client.embeddings.duration", "histogram", "s", "Time of one embeddings call.", buckets=SECONDS
)
OPERATION_DURATION: Final = Metric(
    "gen_ai.client.operation.duration", "histogram", "s", "Time of any other GenAI call.", buckets=SECONDS
)
TIME_TO_FIRST_CHUNK: Final = Metric(
    "gen_ai.client.inference.time_to_first_chunk", "histogram", "s", "Request issued to first chunk received.", buckets=SECONDS
)
TIME_PER_OUTPUT_CHUNK: Final = Metric(
    "gen_ai.client.inference.time_per_output_chunk", "histogram", "s", "Mean time between chunks of one stream.", buckets=SECONDS
)
INPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.operation.input_tokens", "histogram", "{token}", "Input tokens of one call.", buckets=TOKENS
)
OUTPUT_TOKENS: Final = Metric(
    "gen_ai.client.inference.operation.output_tokens", "histogram", "{token}", "Output tokens of one call.", buckets=TOKENS
)
EMBEDDINGS_INPUT_TOKENS: Final = Metric(
    "gen_ai.client.embeddings.operation.input_tokens",
    "histogram",
    "{token}",
    "Input tokens of one embeddings call.",
    buckets=TOKENS,
)
CALL_COST: Final = Metric("gen_ai.client.operation.cost", "histogram", "{USD}", "Cost of one call.", buckets=DOLLARS)
_MODAL: Final = (*CALL_LABELS, TOKEN_MODALITY)
USED_INPUT: Final = Metric("gen_ai.client.inference.usage.input_tokens", "counter", "{token}", "Input tokens used.", _MODAL)
USED_OUTPUT: Final = Metric("gen_ai.client.inference.usage.output_tokens", "counter", "{token}", "Output tokens used.", _MODAL)
USED_CACHE_READ: Final = Metric(
    "gen_ai.client.inference.usage.cache_read.input_tokens", "counter", "{token}", "Input tokens read from a cache.", _MODAL
)
USED_CACHE_WRITE: Final = Metric(
    "gen_ai.client.inference.usage.cache_write.input_tokens", "counter", "{token}", "Input tokens written to a cache.", _MODAL
)
USED_REASONING: Final = Metric(
    "gen_ai.client.inference.usage.reasoning.output_tokens", "counter", "{token}", "Output tokens spent on reasoning.", _MODAL
)
SPEND: Final = Metric("costspan.cost", "counter", "{USD}", "Spend in US dollars.")
SPEND_FOREIGN: Final = Metric(
    "costspan.cost.foreign",
    "counter",
    "{currency}",
    "Spend in other currencies, one series a currency.",
    (*CALL_LABELS, COST_CURRENCY),
)
CALLS: Final = Metric(
    "costspan.calls", "counter", "{call}", "Calls by how well their cost is known.", (*CALL_LABELS, COST_STATE, ERROR_TYPE)
)
ATTEMPT_COUNT: Final = Metric(
    "costspan.attempts",
    "counter",
    "{attempt}",
    "HTTP attempts by status, retried ones included.",
    (PROVIDER, REQUEST_MODEL, HTTP_STATUS, ERROR_TYPE),
)
REMAINING_REQUESTS: Final = Metric(
    "costspan.ratelimit.remaining_requests",
    "gauge",
    "{request}",
    "Requests left, as the provider last said.",
    (PROVIDER, REQUEST_MODEL, API_KEY),
)
REMAINING_TOKENS: Final = Metric(
    "costspan.ratelimit.remaining_tokens",
    "gauge",
    "{token}",
    "Tokens left, as the provider last said.",
    (PROVIDER, REQUEST_MODEL, API_KEY),
)
LABEL_OVERFLOW: Final = Metric(
    "costspan.label.overflow", "counter", "{value}", "Label values folded into 'other'.", (LABEL_NAME,)
)
PRICE_AGE: Final = Metric("costspan.price_book.age", "gauge", "s", "Age of the price book.", ())
INTERNAL_ERRORS: Final = Metric(
    "costspan.internal.errors",
    "counter",
    "{error}",
    "costspan's own failures; the program was not affected.",
    (ERROR_WHERE, ERROR_TYPE),
)
METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

# -- the older names that today's back ends still read (COSTSPAN_COMPAT=1.37)
COMPAT_SYSTEM: Final = "gen_ai.system"
COMPAT_COST: Final = "gen_ai.usage.cost"
COMPAT_PROMPT_TOKENS: Final = "gen_ai.usage.prompt_tokens"
COMPAT_COMPLETION_TOKENS: Final = "gen_ai.usage.completion_tokens"
COMPAT_TOKEN_TYPE: Final = "gen_ai.token.type"
COMPAT_TOKEN_USAGE: Final = Metric(
    "gen_ai.client.token.usage", "histogram", "{token}", "Tokens of one call, by type.", (*CALL_LABELS, COMPAT_TOKEN_TYPE), TOKENS
)
