"""The store: transactions over snapshots, journalled before they are seen.

Owns durability, revisions, small integers and the announcement of changes. Refuses partial
writes: a transaction that raises leaves nothing behind, neither in memory nor on disk.
"""
