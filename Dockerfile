# syntax=docker/dockerfile:1
# One image for every process: `python -m api` by default; compose.yaml says what else it runs.

FROM python:3.13.16-slim-trixie AS build
WORKDIR /src
COPY requirements requirements
# The dependencies first and by themselves, so that a change of our code does not install them again. Each file is one whose
# SHA-256 is known (`make hashes`), what builds our wheel included; nothing is built that is not ours.
RUN python -m venv /opt/respool \
    && /opt/respool/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary=:all: -r requirements/image.txt \
    && python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary=:all: -r requirements/build.txt
COPY pyproject.toml README.md ./
COPY api api
COPY broker broker
COPY worker worker
RUN /opt/build/bin/python -m pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir /tmp/wheels . \
    && /opt/respool/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps --no-index /tmp/wheels/*.whl \
    && /opt/respool/bin/python -m pip check \
    && /opt/respool/bin/python -m pip uninstall --yes pip

FROM python:3.13.16-slim-trixie
# No compiler is in the slim image; pip, which nothing needs at run time, goes too.
RUN python -m pip uninstall --yes --root-user-action=ignore pip \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin respool \
    # A volume that is mounted here for the first time is its owner's then.
    && install -d -o 10001 -g 10001 -m 750 /run/secrets
COPY --from=build /opt/respool /opt/respool
ENV PATH=/opt/respool/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RESPOOL_HOST=0.0.0.0 \
    RESPOOL_PORT=8000
USER 10001:10001
# Not the source tree: what runs is what was installed.
WORKDIR /home
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['RESPOOL_PORT'] + '/healthz', timeout=3)"]
CMD ["python", "-m", "api"]
