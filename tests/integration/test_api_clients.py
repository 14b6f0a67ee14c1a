"""The unchanged clients, `openstack` and openstacksdk, against a served application on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import openstack
import pytest
from openstack import exceptions

from controller.api.application import Application
from controller.api.bootstrap import first_start
from controller.api.passwords import hash_password, verify_password
from controller.api.settings import ApiSettings, Surroundings
from controller.model.resources import Chassis, Interface
from controller.store.store import Store
from controller.testing.api import InstantRealisation


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the assertions say what went wrong."""


class Served:
    """An application behind a server of the standard library, and how clients reach it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store()
        self.realisation = InstantRealisation(self.store)
        surroundings = Surroundings(
            clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4()),
            random_bytes=os.urandom, hash_password=hash_password,
            verify_password=verify_password, missing=lambda: ())
        self.server = make_server("127.0.0.1", 0, self._answer,  # type: ignore[arg-type]
                                  handler_class=_Quiet)
        settings = ApiSettings(port=self.server.server_port)
        clouds = first_start(self.store, settings, surroundings, folder)
        assert clouds is not None
        self.clouds = clouds
        self.application = Application(self.store, self.realisation, settings, surroundings)
        self.failed: list[str] = []
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        def started(status: str, headers: list[tuple[str, str]]) -> Any:
            if status.startswith("5"):
                self.failed.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}: {status}")
            return start_response(status, headers)
        return self.application(environ, started)

    def connect(self, **more: str) -> Any:
        return openstack.connect(load_yaml_config=True, **more)


class Shell:
    """The `openstack` command in one process: starting it anew for each command takes seconds."""

    def __init__(self, clouds: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SHELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={"PATH": os.environ["PATH"], "HOME": str(clouds.parent),
                            "OS_CLIENT_CONFIG_FILE": str(clouds), "OS_CLOUD": "tenet"}
            | environment)

    def __call__(self, *words: str) -> Any:
        """What the command prints, as JSON; nothing where it prints nothing."""
        shape = ("-f", "json") if _PRINTING & set(words) else ()
        status, printed, said = self._run(*words, *shape)
        assert status == 0, f"openstack {' '.join(words)}: {said}"
        return json.loads(printed) if printed.strip() else None

    def refused(self, *words: str) -> str:
        """What the command says when it fails."""
        status, _, said = self._run(*words)
        assert status != 0, f"openstack {' '.join(words)}: not refused"
        return said

    def _run(self, *words: str) -> tuple[int, str, str]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        status, printed, said = json.loads(self.process.stdout.readline())
        return status, printed, said

    def close(self) -> None:
        self.process.communicate(timeout=20)


_PRINTING = {"create", "list", "show", "issue"}
_SHELL = """
import contextlib, io, json, sys
from openstackclient.shell import OpenStackShell
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = OpenStackShell().run(json.loads(line))
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""


pytestmark = pytest.mark.filterwarnings(
    # The SDK's words about itself.
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("state"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(served.clouds))
        patch.setenv("OS_CLOUD", "tenet")
        yield served
    served.server.shutdown()
    served.server.server_close()
    assert served.failed == []


def test_openstacksdk(served: Served) -> None:
    """A tenant is made, builds its network and takes it down again."""
    admin = served.connect()
    project = admin.identity.create_project(name="green")
    user = admin.identity.create_user(name="gina", password="pw", default_project_id=project.id)
    role = admin.identity.find_role("member")
    admin.identity.assign_project_role_to_user(project, user, role)
    gina = openstack.connect(load_yaml_config=False, region_name="RegionOne", auth={
        "auth_url": admin.auth["auth_url"], "username": "gina", "password": "pw",
        "project_name": "green", "user_domain_id": "default", "project_domain_id": "default"})
    network = gina.network.create_network(name="net", description="of gina")
    assert network.mtu == 1450 and network.project_id == project.id
    assert network.provider_network_type is None
    subnet = gina.network.create_subnet(network_id=network.id, ip_version=4, name="sub",
                                        cidr="10.0.0.0/24", dns_nameservers=["9.9.9.9"])
    assert subnet.gateway_ip == "10.0.0.1"
    ports = list(gina.network.create_ports([
        {"network_id": network.id, "name": f"p{number}"} for number in range(5)]))
    assert [port.fixed_ips[0]["ip_address"] for port in ports] == [
        f"10.0.0.{number}" for number in range(2, 7)]
    listed = list(gina.network.ports(limit=2, network_id=network.id))
    assert {port.id for port in listed} == {port.id for port in ports}
    assert gina.network.find_port("p3").id == ports[3].id
    assert [port.id for port in gina.network.ports(fixed_ips="ip_address=10.0.0.4")] == [
        ports[2].id]

    changed = gina.network.update_port(ports[0], name="first", if_revision=1)
    assert (changed.name, changed.revision_number) == ("first", 2)
    with pytest.raises(exceptions.PreconditionFailedException):
        gina.network.update_port(ports[0].id, name="late", if_revision=1)
    with pytest.raises(exceptions.ConflictException, match=ports[1].id):
        gina.network.delete_network(network.id)
    with pytest.raises(exceptions.ForbiddenException):
        gina.network.create_network(provider_network_type="gre")
    with pytest.raises(exceptions.BadRequestException, match="cidr"):
        gina.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.1.0.0/40")

    assert served.connect().network.get_network(network.id).provider_segmentation_id
    for port in ports:
        gina.network.delete_port(port)
    gina.network.delete_subnet(subnet)
    gina.network.delete_network(network)
    assert list(gina.network.networks()) == []
    aliases = {extension.alias for extension in gina.network.extensions()}
    assert "port-security" in aliases and "router" not in aliases
    gina.close()
    admin.close()


def test_binding_is_seen_by_the_administrator(served: Served) -> None:
    admin = served.connect()
    network = admin.network.create_network(name="bound")
    port = admin.network.create_port(network_id=network.id)
    assert (port.status, port.binding_vif_type) == ("DOWN", "unbound")

    def plug(draft: Any) -> None:
        draft.put(Chassis(id="hv1", key=1, hostname="hv1.example"))
        draft.put(Interface(id="hv1/tap", chassis_id="hv1", name="tap", iface_id=port.id,
                            ofport=3, seen=1))
    served.store.transact(plug)
    port = admin.network.get_port(port.id)
    assert (port.status, port.binding_vif_type, port.binding_host_id) == (
        "ACTIVE", "ovs", "hv1.example")
    admin.network.delete_port(port)
    admin.network.delete_network(network)
    admin.close()


@pytest.fixture
def shell() -> Iterator[Callable[..., Shell]]:
    shells: list[Shell] = []

    def start(clouds: Path, **environment: str) -> Shell:
        shells.append(Shell(clouds, **environment))
        return shells[-1]
    yield start
    for started in shells:
        started.close()


def test_the_command_from_a_shell(served: Served) -> None:
    """With nothing but the file that the first start wrote."""
    command = Path(sys.executable).with_name("openstack")
    done = subprocess.run([command, "--os-cloud", "tenet", "network", "list", "-f", "json"],
                          env={"PATH": os.environ["PATH"], "HOME": str(served.clouds.parent),
                               "OS_CLIENT_CONFIG_FILE": str(served.clouds)},
                          capture_output=True, text=True, timeout=100)
    assert (done.returncode, json.loads(done.stdout)) == (0, []), done.stderr


def test_the_openstack_command(served: Served, shell: Callable[..., Shell]) -> None:
    """The commands of the main job, as an operator types them."""
    openstack = shell(served.clouds)
    project = openstack("project", "create", "red")["id"]
    openstack("user", "create", "--project", "red", "--password", "secret", "alice")
    openstack("role", "add", "--user", "alice", "--project", "red", "member")
    given = openstack("role", "assignment", "list", "--user", "alice", "--names")
    assert [(each["Role"], each["Project"]) for each in given] == [("member", "red@Default")]

    network = openstack("network", "create", "--project", "red", "--provider-network-type",
                        "geneve", "--provider-segment", "4242", "--mtu", "1400", "--internal", "n1")
    assert network["project_id"] == project
    assert (network["provider:segmentation_id"], network["mtu"]) == (4242, 1400)
    subnet = openstack("subnet", "create", "--project", "red", "--network", "n1",
                       "--subnet-range", "10.0.0.0/24", "--allocation-pool",
                       "start=10.0.0.50,end=10.0.0.60", "--dns-nameserver", "9.9.9.9", "s1")
    assert subnet["allocation_pools"] == [{"start": "10.0.0.50", "end": "10.0.0.60"}]

    alice = shell(
        Path("/nonexistent/clouds.yaml"), HOME=str(served.clouds.parent), OS_CLOUD="",
        OS_USERNAME="alice", OS_PASSWORD="secret", OS_PROJECT_NAME="red",
        OS_AUTH_URL=f"http://127.0.0.1:{served.server.server_port}/identity",
        OS_IDENTITY_API_VERSION="3", OS_USER_DOMAIN_ID="default", OS_PROJECT_DOMAIN_ID="default")
    port = alice("port", "create", "--network", "n1", "--fixed-ip",
                 "subnet=s1,ip-address=10.0.0.77", "p1")
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.77"}]
    assert [each["Name"] for each in alice("network", "list", "--long")] == ["n1"]
    assert "disallowed by policy" in alice.refused("network", "set", "--share", "n1")

    openstack("port", "set", "--name", "p2", "--host", "hv2", "--description", "moved", "p1")
    shown = openstack("port", "show", "p2")
    assert (shown["binding_host_id"], shown["description"]) == ("hv2", "moved")
    listed = openstack("port", "list", "--network", "n1", "--long")
    assert [(each["Name"], each["Status"]) for each in listed] == [("p2", "DOWN")]
    openstack("port", "set", "--disable-port-security", "p2")
    openstack("port", "unset", "--host", "--device", "--device-owner", "p2")
    assert openstack("port", "show", "p2")["binding_host_id"] == ""
    openstack("subnet", "set", "--name", "s2", "--no-dhcp", "--gateway", "10.0.0.2", "s1")
    assert openstack("subnet", "show", "s2")["gateway_ip"] == "10.0.0.2"
    openstack("network", "set", "--name", "n2", "--share", "n1")
    assert openstack("network", "show", "n2")["shared"] is True
    assert len(openstack("subnet", "list", "--network", "n2")) == 1

    assert port["id"] in openstack.refused("network", "delete", "n2")
    openstack("port", "delete", "p2")
    openstack("subnet", "delete", "s2")
    openstack("network", "delete", "n2")
    openstack("user", "delete", "alice")
    openstack("project", "delete", "red")
    assert "red" not in [each["Name"] for each in openstack("project", "list")]
