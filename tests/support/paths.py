"""Where things are in a checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"  # what was downloaded once
CAPTURED = ROOT / "tests" / "captured.jsonl"  # request bodies, one a line
