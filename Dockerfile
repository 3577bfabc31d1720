# Two images from one file. The default has everything and takes its role from the command (up, api, worker, migrate);
# `--target api` leaves TensorFlow out: it answers requests and migrates, but cannot train.

FROM python:3.12-slim AS python
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore


FROM python AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY service service
RUN pip wheel --no-deps --wheel-dir /wheels .


FROM python AS base
ENV FITSERVE_DATA_DIR=/data \
    FITSERVE_HOST=0.0.0.0 \
    FITSERVE_REQUIRE_KEYS=true \
    FITSERVE_LOG_FORMAT=json \
    PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --no-create-home --home-dir /data fitserve \
    && install --directory --owner fitserve --group fitserve /data
RUN --mount=type=bind,source=requirements-serving.txt,target=/tmp/requirements.txt \
    pip install --requirement /tmp/requirements.txt
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["fitserve"]
# The standard library asks, so the image needs no curl. A worker listens on no port: switch this off for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('FITSERVE_PORT', '8000') + '/livez', timeout=4)"]


FROM base AS api
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-deps /wheels/*.whl
USER 10001
CMD ["api"]


FROM base AS fitserve
RUN --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    pip install --requirement /tmp/requirements.txt
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-deps /wheels/*.whl
USER 10001
CMD ["up"]
