"""What our processes log, and to where: standard error.

`RESPOOL_LOG_LEVEL` is the level of our own loggers. What libraries say below WARNING is dropped, whatever level they or their
environment variables set: at DEBUG an SDK logs every prompt, and an HTTP client every header.
"""

import logging

OURS = "respool"
"""Every logger of ours is below this one."""
_SERVER = "uvicorn"
"""Says when it starts and ends; at INFO nothing of a request."""


def begin(level: str) -> None:
    """Sends the log to standard error. Call it once, first."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger(OURS).setLevel(level)
    logging.getLogger(_SERVER).setLevel(logging.INFO)
    for handler in logging.root.handlers:
        handler.addFilter(_ours_or_grave)


def _ours_or_grave(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] in (OURS, _SERVER)
