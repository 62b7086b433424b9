# What an expert does who fights for megabytes: strip.py in the stage that has the tools, bytecode only for what
# stays, and a base without shell or package manager.
FROM bench/workshop AS build
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never SSL_CERT_FILE=/run/secrets/certificates
WORKDIR /app
RUN --mount=from=bench/tools,source=/uv,target=/usr/local/bin/uv \
    --mount=source=pylock.toml,target=pylock.toml \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=certificates \
    uv venv --python=/usr/bin/python3.13 && uv pip sync pylock.toml
RUN --mount=from=bench/tools,source=/strip.py,target=/strip.py \
    python3 /strip.py .venv && \
    python3 -m compileall -q -j0 --invalidation-mode=unchecked-hash .venv

FROM bench/bare
COPY --from=build /app/.venv /app/.venv
COPY . /app
WORKDIR /app
ENV PATH=/app/.venv/bin:/usr/bin PYTHONUNBUFFERED=1
USER 65532:65532
