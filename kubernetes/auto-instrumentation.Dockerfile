# The init image of the Operator: it copies /autoinstrumentation into the pod and puts it on PYTHONPATH.
#     docker build -f kubernetes/auto-instrumentation.Dockerfile -t costspan-auto-instrumentation:0.1.0 .
ARG PYTHON=3.13
FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN mkdir /autoinstrumentation \
    && pip install --no-cache-dir --root-user-action=ignore --target /autoinstrumentation . "opentelemetry-distro>=0.66b0"

FROM busybox:1.37.0-musl
COPY --from=build /autoinstrumentation /autoinstrumentation
RUN chmod -R go+r /autoinstrumentation
