"""The command line: ``main`` runs one command and returns its exit code.

0 ok, 1 comparison failed, 2 usage, 3 input refused, 4 does not fit or limit exceeded, 5 verifier refused, 70 internal
error, 130 interrupted. A failure is one numbered error on stderr; with ``--json`` it is also the ``error`` of the one
JSON object on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from runtime.cli.failures import exit_code_of
from runtime.cli.group import tspc


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line given, that of the process if None."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = tspc.main(given, prog_name="tspc", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:
        return exit_code_of(error, as_json="--json" in given)
    return result if isinstance(result, int) else 0
