"""Structured logs: one JSON object a line, on standard error."""

import logging.config


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
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": level, "handlers": ["stderr"]},
            # A line per request costs more than the request; a load balancer keeps such a log.
            "loggers": {"uvicorn.access": {"level": "WARNING"}},
        }
    )
