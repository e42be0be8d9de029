"""Plans at a lower level of contracts: the same nodes, with specs that check less of them."""

from __future__ import annotations

from execution_dataflow.contract_levels import ContractLevel
from execution_dataflow.node_specs import spec_at_level
from execution_dataflow.operations import Operation
from execution_dataflow.plan import Plan

__all__ = ["level_of", "plan_at", "unchecked_plan"]


def unchecked_plan(plan: Plan, contracts: ContractLevel = "connect") -> Plan:
    """Return a plan in which values are passed as they are, whatever the types of ports say.

    Parameters
    ----------
    plan : Plan
        The plan; what is made of it is kept with it.
    contracts : {"connect", "off"}
        The level; that of the plan counts too, and the lower one wins. At ``"off"`` there are no `checks=` either.

    Returns
    -------
    Plan
        The same operations under the same names; for a plan that this returned, the same at least.
    """
    if plan.contracts == "off" or contracts == "off":
        made = plan.contract_free
        if made is None:
            made = plan.contract_free = _made(plan, "off")
            made.contract_free = made
    else:
        made = plan.unchecked
        if made is None:
            made = plan.unchecked = _made(plan, "connect")
    # Nobody asks for less than it has.
    made.unchecked = made
    return made


def level_of(plan: Plan) -> ContractLevel:
    """Return how much of the contracts is checked when this very plan runs."""
    if plan.contract_free is plan:
        return "off"
    return "connect" if plan.unchecked is plan else "values"


def plan_at(plan: Plan, contracts: ContractLevel) -> Plan:
    """Return a plan as it runs at a level of contracts, or at its own where that is lower."""
    return plan if contracts == "values" == plan.contracts else unchecked_plan(plan, contracts)


def _made(plan: Plan, contracts: ContractLevel) -> Plan:
    first: dict[int, Operation] = {}
    for node, spec in enumerate(plan.spec_of):
        first.setdefault(spec, plan.operations[node])
    specs = [spec_at_level(first[index], contracts) for index in range(len(plan.specs))]
    stands_for = dict(zip(plan.specs, specs, strict=True))
    for old, new in list(stands_for.items()):
        item, its_new = old.item, new.item
        while item is not None and its_new is not None:
            stands_for[item] = its_new
            item, its_new = item.item, its_new.item
    limited = [(stands_for[spec], kind) for spec, kind in plan.limited]
    return plan.with_specs(plan.core.with_specs(specs), specs, limited)
