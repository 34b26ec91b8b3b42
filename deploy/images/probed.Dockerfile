# An image without a shell, and with what a health check needs: one static program that is wget under that name.
# /queue is made with the owner that the program runs as, so that a new volume on it can be written to.
ARG IMAGE
ARG TOOLS=busybox:1.37.0-musl
FROM ${TOOLS} AS tools
RUN mkdir /queue
FROM ${IMAGE}
COPY --from=tools /bin/busybox /bin/wget
COPY --from=tools --chown=10001:10001 /queue /var/lib/otelcol/queue
