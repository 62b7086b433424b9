# What uv's own guide to Docker describes: dependencies in a stage of their own, bytecode compiled, the
# virtual environment in one layer and the app in another, so that an edit of the app rewrites only its own.
FROM bench/slim AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never SSL_CERT_FILE=/run/secrets/certificates
WORKDIR /app
RUN --mount=from=bench/tools,source=/uv,target=/usr/local/bin/uv \
    --mount=source=pylock.toml,target=pylock.toml \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=certificates \
    uv venv --python=/usr/bin/python3.13 && uv pip sync pylock.toml

FROM bench/slim
COPY --from=build /app/.venv /app/.venv
COPY . /app
WORKDIR /app
ENV PATH=/app/.venv/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
USER 65532:65532
