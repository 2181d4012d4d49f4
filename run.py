"""Cell Monitor from a checkout: the same as the installed command `cell-monitor`."""

import sys

from monitor.cli import main

if __name__ == "__main__":
    sys.exit(main())
