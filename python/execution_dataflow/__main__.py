"""``python -m execution_dataflow`` is the same as ``execution-dataflow``."""

import sys

from execution_dataflow.cli import main

sys.exit(main())
