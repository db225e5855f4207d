"""`python -m edgekit` is the command `edgekit`."""

import sys

from edgekit.cli.main import main

sys.exit(main())
