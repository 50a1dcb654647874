"""``python -m freeavatar``."""

import sys

from freeavatar.cli import main

sys.exit(main())
