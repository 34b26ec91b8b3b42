# costspan with its ledger. `serve` is what it does unless told otherwise:
#     docker build -t costspan . && docker run -p 127.0.0.1:4318:4318 -p 127.0.0.1:8421:8421 -v ledger:/data costspan
# The page is at http://127.0.0.1:8421. Its token is COSTSPAN_PAGE_TOKEN, or what the server prints as it starts.
FROM python:3.13-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --root-user-action=ignore build==1.2.2 && python -m build --wheel --outdir /wheels

FROM python:3.13-slim-bookworm
RUN --mount=from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --root-user-action=ignore "$(ls /wheels/*.whl)[demo,page]" \
    && useradd --uid 10001 --create-home costspan && install -d -o costspan /data /data/costspan
USER costspan
# The ledger is /data/costspan/ledger.duckdb, for `serve` and `report` alike.
ENV PYTHONUNBUFFERED=1 XDG_DATA_HOME=/data
VOLUME /data
EXPOSE 4317 4318 8421
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:4318/healthz', timeout=2)"]
ENTRYPOINT ["costspan"]
CMD ["serve", "--host", "0.0.0.0", "--page-host", "0.0.0.0"]
