FROM python:3.13-slim AS build

WORKDIR /app
COPY requirements.txt .
# Without pip in the environment: it is needed only here.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
       --only-binary :all: --require-hashes -r requirements.txt \
    && rm requirements.txt
COPY run.py .
COPY monitor monitor
COPY sql sql
# Compiled here, as the server may not write there; readable whatever the checkout's umask was.
RUN python -m compileall -q . && chmod -R a+rX .


FROM python:3.13-slim

ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data

# The one place the server may write to; a new volume takes over its owner.
RUN install -d -o 10001 -g 10001 -m 700 /data
COPY --from=build /venv /venv
COPY --from=build /app /app

WORKDIR /app
# A number, so that Kubernetes can check that it is not root.
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM

# Alive, not ready: a restart does not bring PostgreSQL back. The empty handler ignores a proxy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(f'http://127.0.0.1:{os.environ[\"PORT\"]}/health/live', timeout=4)"]

CMD ["python", "run.py"]
