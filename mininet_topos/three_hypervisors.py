#!/usr/bin/python3
r"""Three hypervisors on one Ethernet: the smallest lab in which everything happens.

                     controller                      10.254.255.254
             ____________|____________  management
            |            |            |
           hv1          hv2          hv3             10.254.0.1 to .3
            |____________|____________|
                         |  underlay                 172.31.0.1 to .3/24
                     underlay1

By itself:       mininet_topos/three_hypervisors.py
With Mininet:    mn --custom mininet_topos/three_hypervisors.py --topo three_hypervisors \
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


class ThreeHypervisors(Topo):
    def build(self) -> None:
        underlay = self.addSwitch("underlay1", cls=UnderlaySwitch)
        for number in 1, 2, 3:
            address = f"172.31.0.{number}/24"
            self.addLink(self.addSwitch(f"hv{number}", cls=Hypervisor, underlay=address), underlay)


topos = {"three_hypervisors": ThreeHypervisors}
controllers = {"tenet": TenetController, "remote": SafeRemoteController}

if __name__ == "__main__":
    import lab

    sys.exit(lab.main(ThreeHypervisors(), __doc__))
