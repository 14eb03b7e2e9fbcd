# A stage of its own: the image has the virtual environment and run_server.py, and nothing else of the build.
FROM python:3.11-slim AS build
WORKDIR /build
COPY pyproject.toml README.md constraints.txt run_server.py ./
COPY backend backend
COPY api api
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --constraint constraints.txt ".[cluster]"

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# Hugging Face runs a Space as user 1000, which must be able to write logs and state.
RUN useradd --uid 1000 --create-home gateway \
    && mkdir -p /app/logs /app/state \
    && chown -R 1000:1000 /app
WORKDIR /app
COPY --from=build /venv /venv
COPY run_server.py ./
USER 1000
EXPOSE 7860
# /healthz asks no provider and needs no key.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '7860') + '/healthz', timeout=4)"]
CMD ["python", "run_server.py"]
