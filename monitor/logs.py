"""Structured logs: one JSON object a line, on standard error."""

import logging.config

from pythonjsonlogger.core import RESERVED_ATTRS


def configure(level: str) -> None:
    """Logs messages of `level` (such as `INFO`) and above, of all packages."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": "pythonjsonlogger.json.JsonFormatter",
                    "format": "{levelname}{name}{message}",
                    "style": "{",
                    "timestamp": True,
                    "json_ensure_ascii": False,
                    "reserved_attrs": [*RESERVED_ATTRS, "color_message"],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": level, "handlers": ["stderr"]},
            # We log start and stop ourselves, and do not want a line per WebSocket.
            "loggers": {"uvicorn": {"level": "WARNING"}},
        }
    )
