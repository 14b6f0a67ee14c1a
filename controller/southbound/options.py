"""Options: the group `[tenet]` of Ryu's configuration.

Owns names, defaults and help; values are read once, when the fabric starts.
"""

from __future__ import annotations

import os
from pathlib import Path

from oslo_config import cfg

GROUP = "tenet"
OPTIONS = [
    cfg.StrOpt("state_dir", default=None,
               help="Folder of the controller's state; $XDG_STATE_HOME/tenet, else "
                    "/var/lib/tenet."),
    cfg.HostAddressOpt("api_host", default="127.0.0.1", help="Address the API listens on."),
    cfg.PortOpt("api_port", default=9696, help="Port the API listens on."),
    cfg.StrOpt("ovsdb_listen_host", default="0.0.0.0",
               help="Address that hypervisors' OVSDB servers connect to."),
    cfg.PortOpt("ovsdb_port", default=6640, help="Port that OVSDB servers connect to."),
    cfg.StrOpt("openflow_listen_host", default="0.0.0.0",
               help="Address that switches connect to."),
    cfg.StrOpt("openflow_host", default="",
               help="Address that switches are told to connect to; the one that their OVSDB "
                    "server reached us at, if empty."),
    cfg.PortOpt("openflow_port", default=6653, help="Port that switches connect to."),
    cfg.IntOpt("underlay_mtu", default=1500, min=576, max=65535,
               help="Largest IP packet that the network between hypervisors carries."),
    cfg.StrOpt("network_type", default="vxlan", choices=["local", "vxlan", "geneve", "gre"],
               help="Type of a network that does not ask for one."),
    cfg.FloatOpt("audit_interval", default=60.0, min=1.0,
                 help="Seconds between two comparisons of what a switch holds with what it "
                      "should; changes by others are also reported by the switch at once."),
]


def register(conf: cfg.ConfigOpts, command_line: bool = False) -> None:
    """Make the options known, on the command line too (`--tenet-api_port`) if it has not been read
    yet; harmless when repeated."""
    (conf.register_cli_opts if command_line else conf.register_opts)(OPTIONS, group=GROUP)


def state_dir(configured: str | None) -> Path:
    """The folder of the controller's state."""
    if configured:
        return Path(configured)
    base = os.environ.get("XDG_STATE_HOME")
    return Path(base) / "tenet" if base else Path("/var/lib/tenet")
