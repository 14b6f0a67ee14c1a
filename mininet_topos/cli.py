"""Mininet's CLI with three more words: plug, unplug, move.

The one idea: a guest at the prompt gets what its port says (address, MAC, MTU), so that what is
tried by hand is what the API promised.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

from api import Api, ApiError, Resource
from hypervisor import Hypervisor
from mininet.cli import CLI
from mininet.log import error, output
from nodes import CommandFailed, VirtualMachine
from tenet_controller import TenetController


class LabCLI(CLI):
    """The prompt of the lab."""

    def __init__(self, *arguments: object, **options: object) -> None:
        self.ports: dict[str, Resource] = {}
        super().__init__(*arguments, **options)

    def do_plug(self, line: str) -> None:
        "plug GUEST HYPERVISOR PORT: make a guest and bind it to a port (name or id) of the API"
        self.attempt(self.plug, line)

    def do_unplug(self, line: str) -> None:
        "unplug GUEST: take a guest's interface away"
        self.attempt(self.unplug, line)

    def do_move(self, line: str) -> None:
        "move GUEST HYPERVISOR: move a running guest"
        self.attempt(self.move, line)

    def attempt(self, work: Callable[..., str], line: str) -> None:
        try:
            output(work(*shlex.split(line)) + "\n")
        except TypeError:
            error(f"usage: {getattr(self, 'do_' + work.__name__).__doc__}\n")
        except KeyError as unknown:
            error(f"there is no {unknown.args[0]} here\n")
        except (ApiError, CommandFailed, OSError) as problem:
            error(f"{problem}\n")

    def plug(self, guest: str, hypervisor: str, port: str) -> str:
        admin = self.admin()
        found = admin.find("port", name=port) or [admin.get("port", port)]
        if len(found) > 1:
            return f"{len(found)} ports are called {port}; use an id"
        port_row = found[0]
        chosen = self.hypervisors()[hypervisor]
        if guest in self.mn:
            return f"there is a node {guest} already"
        mtu = admin.get("network", port_row["network_id"])["mtu"]
        addresses = []
        for fixed in port_row["fixed_ips"]:
            cidr = admin.get("subnet", fixed["subnet_id"])["cidr"]
            addresses.append(f"{fixed['ip_address']}/{cidr.split('/')[1]}")
        vm = self.mn.addHost(guest, cls=VirtualMachine)
        chosen.plug(vm, port_row["id"], port_row["mac_address"], *addresses, mtu=mtu)
        self.ports[guest] = port_row
        return f"{guest} at {chosen}: {', '.join(addresses) or 'no address'}"

    def unplug(self, guest: str) -> str:
        port = self.ports[guest]["id"]
        self.home(port).unplug(port)
        del self.ports[guest]
        self.mn.delHost(self.mn[guest])
        return f"{guest} is gone"

    def move(self, guest: str, hypervisor: str) -> str:
        port = self.ports[guest]
        destination = self.hypervisors()[hypervisor]
        self.home(port["id"]).move(port["id"], port["mac_address"], destination)
        return f"{guest} at {destination}"

    def hypervisors(self) -> dict[str, Hypervisor]:
        return {one.name: one for one in self.mn.switches if isinstance(one, Hypervisor)}

    def home(self, port_id: str) -> Hypervisor:
        return next(one for one in self.hypervisors().values() if port_id in one.plugged)

    def admin(self) -> Api:
        """The API of the lab's own controller."""
        for controller in self.mn.controllers:
            if isinstance(controller, TenetController):
                return Api.from_clouds(controller.clouds)
        raise KeyError("controller of this lab's own")
