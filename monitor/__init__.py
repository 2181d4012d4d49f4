"""Cell Monitor: stores what happens in a Jupyter classroom and shows it live."""

__version__ = "0.1.0"
