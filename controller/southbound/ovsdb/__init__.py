"""OVSDB: how stock Open vSwitch joins, and how br-int stays as it has to be.

From the socket inwards: `listener` (sockets, clock), `session` (one hypervisor), `rpc` and
`framing` (its messages, its bounds), `replica` (its rows), `settings`, `desired` and `chassis`
(what the rows mean: pure).
"""

from controller.southbound.ovsdb.listener import OvsdbListener
from controller.southbound.ovsdb.rpc import Limits

__all__ = ["Limits", "OvsdbListener"]
