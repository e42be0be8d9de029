"""What operations are computed from, as digests that are known before a run starts.

Two operations with the same fingerprint have the same code, the same configuration and the same inputs, so that the
outputs of one may be taken for those of the other: that is what checkpoints and caches do.
"""

from __future__ import annotations

from execution_dataflow.fingerprinting.plans import (
    FINGERPRINT_BYTES,
    PlanFingerprints,
    child_fingerprints,
    item,
    plan_fingerprints,
    what_changed,
)
from execution_dataflow.fingerprinting.value_digests import value_digest

__all__ = [
    "FINGERPRINT_BYTES",
    "PlanFingerprints",
    "child_fingerprints",
    "item",
    "plan_fingerprints",
    "value_digest",
    "what_changed",
]
