"""Logging of services."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from qhub.commons.constants import DEFAULT_LOG_LEVEL, LOG_LEVEL_ENV

__all__ = ["LogHandler", "init_logging"]


class LogHandler(logging.Handler):
    """Passes records of the standard library on to loguru, under the name of their logger."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__()
        from loguru import logger

        self._logger: Any = logger.patch(lambda record: record.update(name=name)) if name else logger

    def emit(self, record: logging.LogRecord) -> None:
        """Logs a record at its level, as if the caller had called loguru."""
        try:
            level: str | int = self._logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        frame, depth = sys._getframe(1), 1
        while frame.f_back is not None and frame.f_code.co_filename == logging.__file__:
            frame, depth = frame.f_back, depth + 1
        self._logger.opt(depth=depth, exception=record.exc_info).log(level, record.getMessage())


def init_logging(trace: bool = False) -> None:
    """Sends all logging to standard output, from the level in LOG_LEVEL on.

    With loguru installed everything goes through it; otherwise the standard library writes by itself.
    """
    level = os.environ.get(LOG_LEVEL_ENV, DEFAULT_LOG_LEVEL).upper()
    root = logging.getLogger()
    try:
        from loguru import logger
    except ImportError:
        logging.basicConfig(
            stream=sys.stdout, level=level, force=True, format="%(asctime)s | %(levelname)-8s | %(name)s - %(message)s"
        )
    else:
        logger.configure(handlers=[{"sink": sys.stdout, "level": level}])
        root.handlers = [LogHandler()]
        root.setLevel(level)
        for name in list(root.manager.loggerDict):
            named = logging.getLogger(name)
            named.handlers, named.propagate = [LogHandler(name)], False
    if trace:
        root.critical("Logging initialized with level: %s", level)
