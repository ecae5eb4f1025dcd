"""What the command line's exit codes mean. Click's own for wrong usage is 2."""

from __future__ import annotations

EXIT_ERROR = 1
"""Something could not be read, written or done."""

EXIT_REFUSED = 100
"""Everything was done, and the answer is no: a finding, a changed signature, a call that no trace takes."""

EXIT_INTERRUPTED = 130
"""Somebody pressed Ctrl-C; what a shell makes of the signal, too."""
