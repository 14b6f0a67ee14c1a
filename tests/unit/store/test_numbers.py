"""Numbers: one meaning at a time, and none again before every switch has forgotten the last."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.store import numbers
from controller.store.numbers import NumberQuarantined, PoolExhausted
from controller.store.store import Store


@pytest.fixture(autouse=True)
def small_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(numbers.POOLS, "network", 3)


def take(store: Store) -> int:
    return store.transact(lambda draft: draft.numbers.take("network")).value


def release(store: Store, number: int) -> int:
    return store.transact(
        lambda draft: draft.numbers.release("network", number, draft.revision)).revision


def test_numbers_rise_and_run_out() -> None:
    store = Store()
    assert [take(store) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(PoolExhausted, match="network"):
        take(store)


def test_a_released_number_returns_only_when_confirmed() -> None:
    store = Store()
    for _ in range(3):
        take(store)
    revision = release(store, 2)
    store.confirm(revision - 1)
    with pytest.raises(PoolExhausted):
        take(store)
    store.confirm(revision)
    assert take(store) == 2
    with pytest.raises(PoolExhausted):
        take(store)


def test_a_fresh_number_is_preferred_to_a_released_one() -> None:
    store = Store()
    take(store)
    store.confirm(release(store, 1))
    assert [take(store) for _ in range(3)] == [2, 3, 1]


def test_one_transaction_takes_a_released_number_once() -> None:
    store = Store()
    for _ in range(3):
        take(store)
    release(store, 1)
    store.confirm(release(store, 3))
    assert store.transact(lambda draft: [draft.numbers.take("network") for _ in range(2)]
                          ).value == [1, 3]


def test_a_chosen_number_waits_as_well() -> None:
    store = Store()
    take(store)
    revision = release(store, 1)

    def claim() -> None:
        store.transact(lambda draft: draft.numbers.claim("network", 1))
    with pytest.raises(NumberQuarantined, match="network 1"):
        claim()
    store.confirm(revision)
    claim()
    assert [take(store), take(store)] == [2, 3]
    with pytest.raises(PoolExhausted):
        take(store)


def test_a_number_in_use_is_passed_over() -> None:
    store = Store()
    assert store.transact(lambda draft: draft.numbers.take("network", {1, 2}.__contains__)
                          ).value == 3


def test_a_transaction_that_fails_takes_and_gives_nothing() -> None:
    store = Store()

    def fails(draft: object) -> None:
        draft.numbers.take("network")  # type: ignore[attr-defined]
        raise LookupError
    with pytest.raises(LookupError):
        store.transact(fails)
    assert take(store) == 1


@given(st.lists(st.one_of(st.just("take"), st.just("confirm"), st.integers(0, 2)), max_size=40))
def test_a_number_never_means_two_things(steps: list[str | int]) -> None:
    """`forgotten` are the revisions from which each number means nothing any more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(numbers.POOLS, "network", 3)
        store, held, forgotten, confirmed = Store(), [], {}, 0
        for step in steps:
            if step == "take":
                try:
                    number = take(store)
                except PoolExhausted:
                    free = [one for one, when in forgotten.items() if when <= confirmed]
                    assert len(held) + len(forgotten) == 3 and not free
                    continue
                assert number not in held
                assert forgotten.pop(number, 0) <= confirmed
                held.append(number)
            elif step == "confirm":
                store.confirm(store.revision)
                confirmed = store.revision
            elif held and isinstance(step, int):
                gone = held.pop(step % len(held))
                forgotten[gone] = release(store, gone)
