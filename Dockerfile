# syntax=docker/dockerfile:1
# One image for every process: `python -m api` by default; compose.yaml says what else it runs.

FROM python:3.13.16-slim-trixie AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
# The dependencies first and by themselves, so that a change of our code does not install them again.
RUN python -m venv /opt/respool \
    && /opt/respool/bin/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print('\n'.join(p['dependencies'] + p['optional-dependencies']['archive'] + p['optional-dependencies']['guardrails'] + p['optional-dependencies']['openai']))" > /tmp/requirements.txt \
    && /opt/respool/bin/python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -r /tmp/requirements.txt
COPY api api
COPY broker broker
COPY worker worker
RUN PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
    /opt/respool/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps . \
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
