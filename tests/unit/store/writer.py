"""A writer that is killed: run as `writer.py PATH`. Prints what was acknowledged, line by line."""

from __future__ import annotations

import sys
from pathlib import Path

from controller.model.resources import Network
from controller.store.journal import SqliteJournal
from controller.store.store import Store, Transaction


def main() -> None:
    """Create networks two at a time, and delete every third, until somebody ends it."""
    store = Store(SqliteJournal(Path(sys.argv[1])))
    print("open", flush=True)
    while True:
        def create(draft: Transaction) -> list[int]:
            keys = [draft.numbers.take("network") for _ in range(2)]
            for key in keys:
                draft.put(Network(id=f"n{key}", project_id="p", key=key, network_type="local",
                                  segmentation_id=None, mtu=1500, name="x" * 500))
            return keys
        done = store.transact(create)
        print("+", *done.value, done.revision, flush=True)
        if done.value[0] % 3 == 0:
            gone = done.value[0]

            def delete(draft: Transaction, gone: int = gone) -> None:
                draft.delete(Network, f"n{gone}")
                draft.numbers.release("network", gone, draft.revision)
            print("-", gone, store.transact(delete).revision, flush=True)


if __name__ == "__main__":
    main()
