"""The differ: what is sent, what is not, and in which order."""

from __future__ import annotations

from hypothesis import given

from controller.pipeline.actions import Output, ToGroup
from controller.pipeline.rule import Foreign, Group, Installed, Item, Key, Meter, Rule
from controller.reconciliation.differ import Plan, plan
from hypothesis import strategies as st

RULES = st.builds(
    Rule, table=st.integers(0, 3), priority=st.integers(0, 3), match=st.just(()),
    actions=st.sampled_from([(), (Output(1),), (ToGroup(1),)]), cookie=st.integers(0, 1))
ITEMS: st.SearchStrategy[Item] = st.one_of(
    RULES, st.builds(Group, st.integers(1, 3), st.just("all"), st.just(())),
    st.builds(Meter, st.integers(1, 3), st.integers(1, 2)))
TABLES = st.lists(ITEMS).map(lambda items: {item.key: item for item in items})


def applied(held: dict[Key, Installed], changes: Plan) -> dict[Key, Installed]:
    """What a switch holds after a plan, message by message."""
    after = dict(held)
    for item in changes.put:
        assert (item.key in after) == (item.key in changes.replaced)
        after[item.key] = item
    for key in changes.delete:
        del after[key]
    return after


@given(TABLES, TABLES)
def test_a_plan_leads_exactly_there_and_then_there_is_nothing_to_do(
        held: dict[Key, Item], wanted: dict[Key, Item]) -> None:
    changes = plan(held, wanted)
    assert applied(dict(held), changes) == wanted
    assert len(changes) == sum(held.get(key) != item for key, item in wanted.items()) + len(
        held.keys() - wanted.keys())
    assert not plan(wanted, wanted)


@given(TABLES, TABLES, st.data())
def test_named_keys_change_and_no_others(
        held: dict[Key, Item], wanted: dict[Key, Item], data: st.DataObject) -> None:
    keys = data.draw(st.sets(st.sampled_from(sorted({**held, **wanted}, key=repr)))
                     if held or wanted else st.just(set()))
    after = applied(dict(held), plan(held, wanted, keys))
    for key in {**held, **wanted}:
        assert after.get(key) == (wanted if key in keys else held).get(key)


@given(TABLES, TABLES)
def test_what_is_used_stands_before_its_users_and_goes_after(
        held: dict[Key, Item], wanted: dict[Key, Item]) -> None:
    changes = plan(held, wanted)
    ranks = [{Meter: 0, Group: 1, Rule: 2}[type(item)] for item in changes.put]
    assert ranks == sorted(ranks)
    tables = [item.table for item in changes.put if isinstance(item, Rule)]
    assert tables == sorted(tables, reverse=True), "later tables are ready first"
    gone = [{"group": 1, "meter": 2}.get(str(key[0]), 0) for key in changes.delete]
    assert gone == sorted(gone)


def test_what_is_not_ours_is_deleted_or_replaced() -> None:
    key: Key = (70, 5, ())
    foreign = Foreign(key, "priority=5 actions=NORMAL")
    assert plan({key: foreign}, {}).delete == (key,)
    ours = Rule(70, 5, (), (), 0)
    assert plan({key: foreign}, {key: ours}) == Plan((ours,), (), frozenset({key}))
