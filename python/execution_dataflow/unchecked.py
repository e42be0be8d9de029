"""Plans whose values nobody checks: the same nodes, with specs that have no checks."""

from __future__ import annotations

from execution_dataflow.node_specs import unchecked_spec_of
from execution_dataflow.operations import Operation
from execution_dataflow.plan import Plan

__all__ = ["unchecked_plan"]


def unchecked_plan(plan: Plan) -> Plan:
    """Return a plan in which values are passed as they are, whatever the ports say.

    Parameters
    ----------
    plan : Plan
        The plan; what is made of it is kept with it.

    Returns
    -------
    Plan
        The same operations under the same names.
    """
    if plan.unchecked is None:
        first: dict[int, Operation] = {}
        for node, spec in enumerate(plan.spec_of):
            first.setdefault(spec, plan.operations[node])
        specs = [unchecked_spec_of(first[index]) for index in range(len(plan.specs))]
        stands_for = dict(zip(plan.specs, specs, strict=True))
        for old, new in list(stands_for.items()):
            item, its_new = old.item, new.item
            while item is not None and its_new is not None:
                stands_for[item] = its_new
                item, its_new = item.item, its_new.item
        limited = [(stands_for[spec], kind) for spec, kind in plan.limited]
        made = plan.with_specs(plan.core.with_specs(specs), specs, limited)
        made.unchecked = made
        plan.unchecked = made
    return plan.unchecked
