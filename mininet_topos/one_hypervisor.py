#!/usr/bin/python3
r"""One hypervisor: everything that happens inside a single switch.

       controller                       10.254.255.254
           |  management
          hv1                           10.254.0.1
           |  underlay                  172.31.0.1/24
       underlay1

By itself:       mininet_topos/one_hypervisor.py
With Mininet:    mn --custom mininet_topos/one_hypervisor.py --topo one_hypervisor \
                    --controller tenet
"""

import os
import sys

# mn executes this text and tells it no __file__.
sys.path.insert(0, os.path.dirname(os.path.realpath((lambda: None).__code__.co_filename)))

from hypervisor import Hypervisor  # noqa: E402
from mininet.topo import Topo  # noqa: E402
from tenet_controller import SafeRemoteController, TenetController  # noqa: E402
from underlay import UnderlaySwitch  # noqa: E402


class OneHypervisor(Topo):
    def build(self) -> None:
        underlay = self.addSwitch("underlay1", cls=UnderlaySwitch)
        hypervisor = self.addSwitch("hv1", cls=Hypervisor, underlay="172.31.0.1/24")
        self.addLink(hypervisor, underlay)


topos = {"one_hypervisor": OneHypervisor}
controllers = {"tenet": TenetController, "remote": SafeRemoteController}

if __name__ == "__main__":
    import lab

    sys.exit(lab.main(OneHypervisor(), __doc__))
