# The usual two stages for what has no wheel: compilers and somebody's list of `-dev` packages in the first, wheels and
# somebody's list of libraries in the second. Both lists are what trial and error comes to for these four.
FROM bench/slim AS build
RUN --mount=type=cache,sharing=locked,target=/var/lib/apt/lists --mount=type=cache,sharing=locked,target=/var/cache/apt \
    apt-get update -qq && apt-get install -qq --no-install-recommends build-essential pkg-config python3-dev python3-pip \
    libxml2-dev libxslt1-dev libpq-dev default-libmysqlclient-dev
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=certificates \
    PIP_CERT=/run/secrets/certificates pip wheel --quiet --no-binary=:all: --only-binary=cython,setuptools,wheel,packaging \
    --wheel-dir=/wheels --requirement=requirements.txt

FROM bench/slim
RUN --mount=type=cache,sharing=locked,target=/var/lib/apt/lists --mount=type=cache,sharing=locked,target=/var/cache/apt \
    apt-get update -qq && apt-get install -qq --no-install-recommends python3-venv libpython3.13 libxml2 libxslt1.1 libpq5 libmariadb3
RUN --mount=from=build,source=/wheels,target=/wheels \
    python3 -m venv /app/.venv && /app/.venv/bin/pip install --quiet --no-cache-dir --no-index --find-links=/wheels /wheels/*.whl
COPY . /app
WORKDIR /app
ENV PATH=/app/.venv/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["uwsgi", "--master", "--need-app", "--die-on-term", "--module=app", "--enable-threads"]
CMD ["--http=0.0.0.0:8000"]
