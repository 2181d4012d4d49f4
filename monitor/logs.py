"""Structured logs: one JSON object a line, on standard error."""

import logging.config

from pythonjsonlogger.core import RESERVED_ATTRS


def configure(level: str) -> None:
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
            # Starts and stops we log ourselves, and each socket that comes and goes is no news.
            "loggers": {"uvicorn": {"level": "WARNING"}},
        }
    )
