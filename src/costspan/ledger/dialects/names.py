"""Every name of other instrumentations that the ledger reads. The conventions' and costspan's own are in `costspan.names`.

Sources: the conventions before v1.37; opentelemetry-semantic-conventions-ai (OpenLLMetry, ``opentelemetry.semconv_ai``);
openinference-semantic-conventions (``openinference.semconv.trace``); ``openlit.semcov``; logfire's and anthropic's own source.
"""

from typing import Final

# -- the conventions before v1.37, and what grew from them
SYSTEM: Final = "gen_ai.system"
PROMPT_TOKENS: Final = "gen_ai.usage.prompt_tokens"
COMPLETION_TOKENS: Final = "gen_ai.usage.completion_tokens"
CACHE_READ: Final = "gen_ai.usage.cache_read_input_tokens"
CACHE_CREATION: Final = "gen_ai.usage.cache_creation_input_tokens"
CACHE_CREATION_INPUT: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING: Final = "gen_ai.usage.reasoning_tokens"
COST: Final = "gen_ai.usage.cost"
OPENAI_REQUEST_TIER: Final = "gen_ai.openai.request.service_tier"
OPENAI_RESPONSE_TIER: Final = "gen_ai.openai.response.service_tier"
END_USER: Final = "enduser.id"
EXCEPTION: Final = "exception"
EXCEPTION_TYPE: Final = "exception.type"

# -- OpenLLMetry
USER: Final = "gen_ai.user"
IS_STREAMING: Final = "gen_ai.is_streaming"
API_BASE: Final = "gen_ai.openai.api_base"
LLM_USER: Final = "llm.user"
LLM_STREAMING: Final = "llm.is_streaming"
REQUEST_TYPE: Final = "llm.request.type"
LLM_REASONING: Final = "llm.usage.reasoning_tokens"
TRACELOOP_KIND: Final = "traceloop.span.kind"
ASSOCIATION: Final = "traceloop.association.properties."

# -- OpenInference
KIND: Final = "openinference.span.kind"
MODEL: Final = "llm.model_name"
EMBEDDING_MODEL: Final = "embedding.model_name"
LLM_PROVIDER: Final = "llm.provider"
LLM_SYSTEM: Final = "llm.system"
LLM_PARAMETERS: Final = "llm.invocation_parameters"
EMBEDDING_PARAMETERS: Final = "embedding.invocation_parameters"
PROMPT_COUNT: Final = "llm.token_count.prompt"
COMPLETION_COUNT: Final = "llm.token_count.completion"
CACHE_READ_COUNT: Final = "llm.token_count.prompt_details.cache_read"
CACHE_WRITE_COUNT: Final = "llm.token_count.prompt_details.cache_write"
AUDIO_PROMPT_COUNT: Final = "llm.token_count.prompt_details.audio"
REASONING_COUNT: Final = "llm.token_count.completion_details.reasoning"
AUDIO_COMPLETION_COUNT: Final = "llm.token_count.completion_details.audio"
LLM_COST: Final = "llm.cost.total"
FINISH_REASON: Final = "llm.finish_reason"
OUTPUT: Final = "output.value"
METADATA: Final = "metadata"

# -- OpenLIT
REQUEST_IS_STREAM: Final = "gen_ai.request.is_stream"
REQUEST_USER: Final = "gen_ai.request.user"
FIRST_CHUNK: Final = "gen_ai.server.time_to_first_token"

# -- Logfire
SPAN_TYPE: Final = "logfire.span_type"
RAW_USAGE: Final = "gen_ai.usage.raw"
REQUEST_DATA: Final = "request_data"
RESPONSE_DATA: Final = "response_data"
DURATION: Final = "duration"
OPERATION_COST: Final = "operation.cost"

# -- anthropic's own spans
ANTHROPIC_REQUEST_ID: Final = "anthropic.request.id"
ANTHROPIC_REQUEST_TIER: Final = "anthropic.request.service_tier"
ANTHROPIC_RESPONSE_TIER: Final = "anthropic.response.service_tier"
ANTHROPIC_STOP_REASON: Final = "anthropic.message.stop_reason"
ANTHROPIC_ORGANISATION: Final = "anthropic.organization.id"
COMPACTION_INPUT: Final = "anthropic.usage.compaction.input_tokens"
COMPACTION_OUTPUT: Final = "anthropic.usage.compaction.output_tokens"
