"""Cell Monitor: stores what happens in a Jupyter classroom and shows it live."""

from monitor.pipeline.handlers import Handlers as Handlers

__version__ = "0.1.0"
