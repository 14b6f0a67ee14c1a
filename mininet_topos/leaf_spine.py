#!/usr/bin/python3
r"""Six hypervisors on a routed fabric: tunnels cross routers, over two equal paths.

              spine1             spine2
                 |  \           /  |
                 |    \       /    |
                 |      \   /      |         leaf to spine:  172.30.LEAF.2*SPINE/31,
                 |       \ /       |         spine to leaf:  the other of the two
                 |       / \       |
                 |     /     \     |
                 |   /         \   |
               leaf1             leaf2       leaf:           172.31.NUMBER.0/31
              /  |  \           /  |  \
           hv1  hv2  hv3     hv4  hv5  hv6   hypervisor:     172.31.NUMBER.1/31

Each hypervisor also has its management link to the controller, as in the other labs.

By itself:       mininet_topos/leaf_spine.py
With Mininet:    mn --custom mininet_topos/leaf_spine.py --topo leaf_spine --controller tenet
"""

import os
import sys

# mn executes this text and tells it no __file__.
sys.path.insert(0, os.path.dirname(os.path.realpath((lambda: None).__code__.co_filename)))

from hypervisor import Hypervisor  # noqa: E402
from mininet.topo import Topo  # noqa: E402
from tenet_controller import SafeRemoteController, TenetController  # noqa: E402
from underlay import UnderlayRouter  # noqa: E402

SPINES = (1, 2)
LEAVES = {1: (1, 2, 3), 2: (4, 5, 6)}


class LeafSpine(Topo):
    def build(self) -> None:
        # Links are numbered as they are added: a leaf's hypervisors first, then its spines.
        for spine in SPINES:
            self.addSwitch(f"spine{spine}", cls=UnderlayRouter, **self.spine(spine))
        for leaf, numbers in LEAVES.items():
            self.addSwitch(f"leaf{leaf}", cls=UnderlayRouter, **self.leaf(leaf))
            for number in numbers:
                hypervisor = self.addSwitch(
                    f"hv{number}",
                    cls=Hypervisor,
                    underlay=f"172.31.{number}.1/31",
                    gateway=f"172.31.{number}.0",
                )
                self.addLink(f"leaf{leaf}", hypervisor)
            for spine in SPINES:
                self.addLink(f"leaf{leaf}", f"spine{spine}")

    @staticmethod
    def spine(spine: int) -> dict[str, object]:
        """A spine has one link to each leaf, and one way to each hypervisor."""
        return {
            "addresses": [f"172.30.{leaf}.{2 * spine + 1}/31" for leaf in LEAVES],
            "routes": {
                f"172.31.{number}.0/31": [f"172.30.{leaf}.{2 * spine}"]
                for leaf, numbers in LEAVES.items()
                for number in numbers
            },
        }

    @staticmethod
    def leaf(leaf: int) -> dict[str, object]:
        """A leaf knows its own hypervisors, and the others over every spine."""
        down = [f"172.31.{number}.0/31" for number in LEAVES[leaf]]
        up = [f"172.30.{leaf}.{2 * spine}/31" for spine in SPINES]
        spines = [f"172.30.{leaf}.{2 * spine + 1}" for spine in SPINES]
        return {
            "addresses": down + up,
            "routes": {
                f"172.31.{number}.0/31": spines
                for other, numbers in LEAVES.items()
                for number in numbers
                if other != leaf
            },
        }


topos = {"leaf_spine": LeafSpine}
controllers = {"tenet": TenetController, "remote": SafeRemoteController}

if __name__ == "__main__":
    import lab

    sys.exit(lab.main(LeafSpine(), __doc__))
