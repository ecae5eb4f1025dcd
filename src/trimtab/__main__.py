"""`python -m trimtab`: the command line."""

import sys

from trimtab.cli.main import main

sys.exit(main())
