# An image without a shell, and with what a health check needs: one static program that is wget under that name.
# The directories of data are made with the owner that the programs run as (10001, the Collector and Tempo alike), so that a new volume
# on them can be written to.
ARG IMAGE
ARG TOOLS=busybox:1.37.0-musl
FROM ${TOOLS} AS tools
RUN mkdir /empty
FROM ${IMAGE}
COPY --from=tools /bin/busybox /bin/wget
COPY --from=tools --chown=10001:10001 /empty /var/lib/otelcol/queue
COPY --from=tools --chown=10001:10001 /empty /var/tempo
