"""The nouns: what tenants ask for and what was observed, as frozen values.

Owns the resources, their validity, the buckets they are found by, and snapshots of all of them.
Refuses I/O, time, and any idea of switches' tables.
"""
