"""The northbound API: HTTP in, transactions and realised status out.

Owns the Neutron v2.0 door, the identity door and Tenet's own resources, as one WSGI application.
Refuses sockets, threads, clocks and randomness: the edge passes those in (`settings`).
"""
