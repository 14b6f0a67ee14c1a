"""The lab's plumbing, without the controller: namespaces, topologies, hypervisors, guests.

The lab runs under the system's Python, which has Mininet; so what is asked of it here is asked in
a process of that Python.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest

TOPOS = Path(__file__).resolve().parents[2] / "mininet_topos"
SANDBOX = str(TOPOS / "sandbox.py")
SYSTEM_PYTHON = "/usr/bin/python3"
NAMES = ["one_hypervisor", "three_hypervisors", "leaf_spine"]

root = pytest.mark.root


def run(*command: str, timeout: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **more)


def lab_python(source: str, sandboxed: bool = False) -> str:
    """What a piece of the lab's Python prints."""
    source = f"import sys; sys.path.insert(0, {str(TOPOS)!r})\n{source}"
    command = [SYSTEM_PYTHON, "-c", source]
    done = run(*([SANDBOX, "run", "--"] if sandboxed else []), *command, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_sandbox(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return run(SANDBOX, "run", "--", *command, **more)


# The sandbox


@root
@pytest.mark.parametrize("status", [0, 1, 77])
def test_sandbox_passes_the_exit_status_through(status: int) -> None:
    assert in_sandbox("sh", "-c", f"exit {status}").returncode == status


@root
def test_sandbox_says_which_command_is_missing() -> None:
    done = in_sandbox("no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr


@root
def test_sandbox_hides_the_machine() -> None:
    marker = f"tenet-{os.getpid()}"
    script = f"ip -o link; ls /run /tmp; touch /run/{marker} /tmp/{marker}.log; ps ax | wc -l"
    done = in_sandbox("sh", "-c", script, cwd="/")
    assert done.returncode == 0, done.stderr
    links = [line for line in done.stdout.splitlines() if ": <" in line]
    assert len(links) == 1 and "lo: <LOOPBACK,UP" in links[0]
    assert int(done.stdout.split()[-1]) < 10
    assert not Path("/run", marker).exists()
    assert not Path("/tmp", f"{marker}.log").exists()


@root
def test_sandbox_cannot_change_settings_of_the_machine() -> None:
    """Mininet tries to: it raises kernel.pty.max, for one."""
    done = in_sandbox("sh", "-c", "echo 20000 > /proc/sys/kernel/pty/max")
    assert done.returncode != 0 and "Read-only" in done.stderr
    assert in_sandbox("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").returncode == 0


@root
def test_sandbox_shows_what_it_was_told_to_keep(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("in")
    script = f"cat {tmp_path}/given; echo out > {tmp_path}/made"
    done = run(SANDBOX, "run", "--keep", str(tmp_path), "--", "sh", "-c", script, cwd="/")
    assert done.stdout == "in"
    assert (tmp_path / "made").read_text() == "out\n"


@root
def test_sandbox_keeps_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    assert in_sandbox("ls", cwd=tmp_path).stdout == "here\n"


def running(marker: str) -> list[str]:
    """The processes of this machine, in whatever namespace, that have a marker to their name."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if marker.encode() in words:
            found.append(entry.parent.name)
    return found


def eventually(wanted: Any, timeout: float = 10) -> bool:
    deadline = time.monotonic() + timeout
    while not wanted():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@root
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_sandbox(how: signal.Signals) -> None:
    marker = f"marker-{os.getpid()}-{how.name}"
    script = "setsid sh -c 'sleep 300' \"$0\" & trap 'exit 9' INT TERM; sleep 300 & wait"
    sandbox = subprocess.Popen([SANDBOX, "run", "--", "sh", "-c", script, marker])
    try:
        # The two shells, and the two processes of the sandbox itself.
        assert eventually(lambda: len(running(marker)) == 4)
        sandbox.send_signal(how)
        status = sandbox.wait(10)
        assert status == (-9 if how is signal.SIGKILL else 9)
        assert eventually(lambda: not running(marker))
    finally:
        sandbox.kill()
        sandbox.wait()


@root
def test_control_c_reaches_the_command_once() -> None:
    counting = (
        "import signal, time\nn = 0\ndef caught(*_):\n    global n\n    n += 1\n"
        "signal.signal(signal.SIGINT, caught)\nprint('ready', flush=True)\n"
        "end = time.monotonic() + 1\nwhile time.monotonic() < end:\n    time.sleep(0.05)\n"
        "print('interrupts:', n, flush=True)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(SANDBOX, [SANDBOX, "run", "--", SYSTEM_PYTHON, "-c", counting])
    said = b""
    try:
        while b"ready" not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, b"\x03")
        while b"interrupts:" not in said or not said.endswith(b"\n"):
            said += os.read(terminal, 1000)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    assert b"interrupts: 1\r\n" in said


@root
def test_attach_says_that_there_is_no_lab(tmp_path: Path) -> None:
    source = (
        "import pathlib, sys, sandbox\n"
        f"sandbox.LOCK = pathlib.Path({str(tmp_path / 'lock')!r})\n"
        "sys.exit(sandbox.main(['attach']))"
    )
    done = run(SYSTEM_PYTHON, "-c", source, env={**os.environ, "PYTHONPATH": str(TOPOS)})
    assert done.returncode == 1
    assert "no lab is running" in done.stderr


@root
def test_a_second_terminal_joins_the_running_lab(tmp_path: Path) -> None:
    lock = "import pathlib, sys, sandbox\n"
    lock += f"sandbox.LOCK = pathlib.Path({str(tmp_path / 'lock')!r})\n"
    environment = {**os.environ, "PYTHONPATH": str(TOPOS)}
    lab = tmp_path / "lab.py"
    lab.write_text(
        "import os, time\nos.system('ip link add here type veth peer name there')\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    first = subprocess.Popen(
        [SYSTEM_PYTHON, "-c", f"{lock}sys.exit(sandbox.shell([{str(lab)!r}]))"],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
    )
    try:
        assert first.stdout is not None and first.stdout.readline() == b"up\n"
        second = run(
            *(SYSTEM_PYTHON, "-c", f"{lock}sys.exit(sandbox.shell([]))"),
            input="ip -o link show here\nexit\n",
            env=environment,
        )
        assert "here@there" in second.stdout, second.stderr
    finally:
        first.terminate()
        first.wait(10)


# The topologies


@pytest.mark.parametrize("name", NAMES)
def test_mn_can_load_the_file(name: str) -> None:
    """`mn --custom` executes the text: no __file__, and no name may replace one of mn's own."""
    said = lab_python(
        f"sys.path.remove({str(TOPOS)!r})\n"
        f"path = {str(TOPOS / (name + '.py'))!r}\n"
        "customs = {}\n"
        "exec(compile(open(path).read(), path, 'exec'), customs, customs)\n"
        "import runpy; mn = runpy.run_path('/usr/bin/mn', run_name='loaded')\n"
        "print(sorted(customs['topos']), sorted(customs['controllers']))\n"
        "both = (set(customs) & set(mn)) - {'__builtins__', '__doc__', '__annotations__'}\n"
        "print(sorted(n for n in both if customs[n] is not mn[n]))"
    )
    assert said.splitlines() == [f"['{name}'] ['remote', 'tenet']", "[]"]


@root
@pytest.mark.parametrize("name", NAMES)
def test_mn_brings_the_topology_up(name: str) -> None:
    custom = str(TOPOS / f"{name}.py")
    mn = ["mn", "--custom", custom, "--topo", name, "--controller", "none", "--test", "pingall"]
    done = in_sandbox(*mn, cwd="/")
    assert done.returncode == 0, done.stderr
    assert "completed in" in done.stderr


def described(name: str) -> dict[str, Any]:
    """A topology's nodes with their parameters, and its links in the order of their making."""
    text = lab_python(
        f"import json, {name}\n"
        f"topo = next(iter({name}.topos.values()))()\n"
        "nodes = {n: {k: v for k, v in topo.nodeInfo(n).items() if k != 'cls'}"
        " | {'class': topo.nodeInfo(n)['cls'].__name__} for n in topo.nodes()}\n"
        "links = [(i['node1'], i['node2']) for *_, i in topo.links(sort=True, withInfo=True)]\n"
        "print(json.dumps({'nodes': nodes, 'links': links}))"
    )
    answer: dict[str, Any] = json.loads(text)
    return answer


@pytest.mark.parametrize(("name", "count"), [(NAMES[0], 1), (NAMES[1], 3), (NAMES[2], 6)])
def test_hypervisors_have_addresses_of_their_own(name: str, count: int) -> None:
    nodes = described(name)["nodes"].values()
    underlays = [node["underlay"] for node in nodes if node["class"] == "Hypervisor"]
    assert len(underlays) == len(set(underlays)) == count


def test_leaf_spine_links_and_routes_fit_together() -> None:
    topology = described("leaf_spine")
    nodes = topology["nodes"]
    interfaces: dict[str, list[str]] = {name: [] for name in nodes}
    for ends in topology["links"]:
        addresses = []
        for end in ends:
            given = nodes[end].get("addresses") or [nodes[end]["underlay"]]
            addresses.append(given[len(interfaces[end])])
            interfaces[end].append(addresses[-1])
        first, second = map(ip_interface, addresses)
        assert first.network == second.network and first != second, ends
    hypervisors = [name for name in nodes if name.startswith("hv")]
    for name, node in nodes.items():
        connected = [ip_interface(one).network for one in interfaces[name]]
        for hops in node.get("routes", {}).values():
            assert all(any(ip_address(hop) in net for net in connected) for hop in hops)
        if name.startswith(("leaf", "spine")):
            assert len(interfaces[name]) == len(node["addresses"])
            known = [*connected, *map(ip_network, node["routes"])]
            for hypervisor in hypervisors:
                target = ip_interface(nodes[hypervisor]["underlay"]).ip
                assert any(target in network for network in known), (name, hypervisor)


# Hypervisors and guests, with stock Open vSwitch

PLAYED = """
import json, threading, time, uuid
import lab, witness
from hypervisor import Hypervisor
from mininet.node import NullController
from nodes import VirtualMachine
from {topology} import topos

def make_bridge(hypervisor):
    hypervisor.vsctl(
        'add-br', 'br-int', '--', 'set', 'bridge', 'br-int', 'fail_mode=secure',
        'datapath_type=' + hypervisor.datapath, '--', 'add-port', 'br-int', 'tun', '--',
        'set', 'interface', 'tun', 'type=vxlan', 'options:remote_ip=flow', 'options:key=flow',
        'options:local_ip=' + hypervisor.underlay_address, 'ofport_request=1000')

def plug(network, hypervisor, number):
    guest = network.addHost(f'vm{{number}}', cls=VirtualMachine)
    port, mac = str(uuid.uuid4()), f'02:00:00:00:00:{{number:02x}}'
    name = hypervisor.plug(guest, port, mac, f'10.0.0.{{number}}/24')
    return guest, port, mac, name

def forward(hypervisor, name, *peers):
    number = hypervisor.vsctl('get', 'interface', name, 'ofport').strip()
    out = ','.join(f'set_field:{{p}}->tun_dst,set_field:7->tun_id,output:1000' for p in peers)
    hypervisor.ofctl('add-flow', 'br-int', f'in_port={{number}},actions={{out}}')
    hypervisor.ofctl('add-flow', 'br-int', f'in_port=1000,tun_id=7,actions=output:{{number}}')

with lab.started(topos[{topology!r}](), NullController) as network:
    hypervisors = lab.hypervisors(network)
"""


def played(topology: str, body: str) -> dict[str, Any]:
    """Run a scene in which the test plays the controller's part."""
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    text = PLAYED.format(topology=topology) + indented
    answer: dict[str, Any] = json.loads(lab_python(text, sandboxed=True).splitlines()[-1])
    return answer


@root
@pytest.mark.parametrize("name", NAMES)
def test_the_underlay_connects_all_hypervisors(name: str) -> None:
    assert played(name, "print(json.dumps({'bad': lab.underlay_failures(network)}))") == {"bad": []}


@root
def test_joining_is_one_command_of_stock_open_vswitch() -> None:
    seen = played(
        "one_hypervisor",
        """
import socket
server = socket.create_server(('', 6640))
one = hypervisors[0]
one.encap_type = 'geneve'
one.join()
server.settimeout(10)
peer = server.accept()[1][0]
ids = one.vsctl('--format=json', '--columns=external_ids', 'list', 'Open_vSwitch')
print(json.dumps({'peer': peer, 'ids': dict(json.loads(ids)['data'][0][0][1])}))
""",
    )
    assert seen["peer"] == "10.254.0.1"
    ids = seen["ids"]
    assert ids.pop("system-id")
    assert ids.pop("tenet-datapath-type") in ("netdev", "system")
    assert ids == {
        "tenet-encap-ip": "172.31.0.1",
        "tenet-encap-type": "geneve",
        "hostname": "hv1",
    }


@root
def test_plug_waits_for_the_integration_bridge() -> None:
    seen = played(
        "one_hypervisor",
        """
threading.Timer(1, make_bridge, hypervisors).start()
begin = time.monotonic()
guest, port, mac, name = plug(network, hypervisors[0], 1)
took = time.monotonic() - begin
ids = hypervisors[0].vsctl('get', 'interface', name, 'external_ids')
seen = dict(took=took, ids=ids, port=port, mac=mac, name=name)
print(json.dumps(seen | dict(guest=guest.cmd('ip -o addr show eth0'), ip=guest.IP())))
""",
    )
    assert seen["took"] > 0.9
    assert f'iface-id="{seen["port"]}"' in seen["ids"]
    assert f'attached-mac="{seen["mac"]}"' in seen["ids"]
    assert seen["name"] == "tap" + seen["port"][:11]
    assert "10.0.0.1/24" in seen["guest"] and seen["ip"] == "10.0.0.1"


@root
def test_guests_move_and_daemons_restart() -> None:
    seen = played(
        "three_hypervisors",
        """
for one in hypervisors:
    make_bridge(one)
first, second, third = hypervisors
here, _, _, name = plug(network, first, 1)
there, port, mac, moving = plug(network, second, 2)
forward(first, name, second.underlay_address, third.underlay_address)
forward(second, moving, first.underlay_address)
eyes = {vm: witness.Eyewitness.in_guest(vm) for vm in (here, there)}
pairs = [(here, there), (there, here)]
# Nobody warms the tunnels here: the first packet to a peer may be dropped, a later one not.
ask = lambda: max(len(witness.answered(eyes, pairs, patience=1)) for _ in range(3))
seen = {'before': ask()}
second.move(port, mac, third)
seen['cut'] = len(witness.answered(eyes, pairs, patience=0.3))
forward(third, moving, first.underlay_address)
seen['moved'] = ask()
third.kill_vswitchd()
third.restart_vswitchd()
seen['emptied'] = third.ofctl('dump-aggregate', 'br-int').split('flow_count=')[1].strip()
forward(third, moving, first.underlay_address)
seen['restarted'] = ask()
third.unplug(port)
seen['left'] = third.vsctl('list-ports', 'br-int').split()
seen['guest'] = [str(interface) for interface in there.intfList()]
print(json.dumps(seen))
""",
    )
    assert seen == {
        "before": 2,
        "cut": 0,
        "moved": 2,
        "emptied": "0",
        "restarted": 2,
        "left": ["tun"],
        "guest": [],
    }


@root
def test_the_witness_knows_who_received_what() -> None:
    """Two guests with the same addresses: an answered ping does not tell which one answered."""
    seen = played(
        "one_hypervisor",
        """
one = hypervisors[0]
make_bridge(one)
asking, *_, from_port = plug(network, one, 1)
twins = []
for number in (2, 3):
    guest = network.addHost(f'twin{number}', cls=VirtualMachine)
    port = str(uuid.uuid4())
    twins.append((guest, one.plug(guest, port, '02:00:00:00:00:99', '10.0.0.9/24')))
numbers = [one.vsctl('get', 'interface', n, 'ofport').strip()
           for n in (from_port, twins[0][1], twins[1][1])]
eyes = {vm: witness.Eyewitness.in_guest(vm) for vm in (asking, twins[0][0], twins[1][0])}
seen = []
for chosen in (1, 2):
    one.ofctl('add-flow', 'br-int', f'in_port={numbers[0]},actions=output:{numbers[chosen]}')
    one.ofctl('add-flow', 'br-int', f'in_port={numbers[chosen]},actions=output:{numbers[0]}')
    answered = len(witness.answered(eyes, [(asking, twins[0][0])]))
    mark = f'<{chosen}>'.encode()
    got = witness.deliveries(eyes, {(asking, '10.0.0.9'): mark})
    seen.append([answered, [guest.name for guest, _ in got]])
print(json.dumps({'seen': seen}))
""",
    )
    assert seen["seen"] == [[1, ["twin2"]], [1, ["twin3"]]]


@root
def test_hundreds_of_interfaces_are_one_transaction() -> None:
    seen = played(
        "one_hypervisor",
        """
make_bridge(hypervisors[0])
ports = [(str(uuid.uuid4()), '02:00:00:00:00:01') for _ in range(333)]
begin = time.monotonic()
names = hypervisors[0].plug_many(ports)
took = time.monotonic() - begin
there = hypervisors[0].vsctl('list-ports', 'br-int').split()
print(json.dumps({'took': took, 'missing': sorted(set(names) - set(there))}))
""",
    )
    assert seen["missing"] == []
    assert seen["took"] < 10


@root
def test_a_probe_counts_losses_exactly() -> None:
    seen = played(
        "one_hypervisor",
        """
one = hypervisors[0]
make_bridge(one)
a, *_, first = plug(network, one, 1)
b, *_, second = plug(network, one, 2)
for here, out in ((first, second), (second, first)):
    numbers = [one.vsctl('get', 'interface', n, 'ofport').strip() for n in (here, out)]
    one.ofctl('add-flow', 'br-int', 'in_port=%s,actions=output:%s' % tuple(numbers))
eyes = {vm: witness.Eyewitness.in_guest(vm) for vm in (a, b)}
witness.answered(eyes, [(a, b)])
probe = witness.Probe(eyes, [(a, b)], 0.01).start()
time.sleep(0.5)
whole = probe.finish()[a, b]
probe = witness.Probe(eyes, [(a, b)], 0.01).start()
time.sleep(0.3)
one.ofctl('mod-flows', 'br-int', 'actions=drop')
time.sleep(0.3)
cut = probe.finish(0.2)[a, b]
print(json.dumps({'whole': [whole.sent, whole.lost], 'cut': [cut.sent, cut.lost, cut.silence]}))
""",
    )
    assert seen["whole"][0] > 20 and seen["whole"][1] == 0
    assert 10 < seen["cut"][1] < seen["cut"][0] and seen["cut"][2] > 0.25


@root
def test_the_prompt_plugs_what_the_api_promised() -> None:
    seen = played(
        "one_hypervisor",
        """
import cli, io
from api import ApiError
one = hypervisors[0]
make_bridge(one)
port = {'id': str(uuid.uuid4()), 'mac_address': '02:00:00:00:00:05', 'network_id': 'n',
        'fixed_ips': [{'subnet_id': 's', 'ip_address': '10.0.0.5'}]}
rows = {'n': {'mtu': 1400}, 's': {'cidr': '10.0.0.0/24'}}
class Promised:
    def find(self, kind, name):
        return [port] if name == 'web' else []
    def get(self, kind, id):
        if id not in rows:
            raise ApiError(404, 'PortNotFound', 'no port ' + id)
        return rows[id]
cli.LabCLI.admin = lambda self: Promised()
script = '/tmp/script'
open(script, 'w').write('plug\\nplug vm1 hv9 web\\nplug vm1 hv1 db\\nplug vm1 hv1 web\\n')
from mininet.log import lg
said = io.StringIO()
lg.handlers[0].stream = said
prompt = cli.LabCLI(network, script=script)
guest = network['vm1'].cmd('ip addr show eth0')
prompt.onecmd('unplug vm1')
left = one.vsctl('list-ports', 'br-int').split()
print(json.dumps(dict(said=said.getvalue(), guest=guest, left=left, there='vm1' in network)))
""",
    )
    usage, *rest = seen["said"].splitlines()[-5:]
    assert usage.startswith("usage: plug GUEST HYPERVISOR PORT")
    assert rest == [
        "there is no hv9 here",
        "404 PortNotFound: no port db",
        "vm1 at hv1: 10.0.0.5/24",
        "vm1 is gone",
    ]
    assert all(part in seen["guest"] for part in ("mtu 1400", "02:00:00:00:00:05", "10.0.0.5/24"))
    assert seen["left"] == ["tun"] and not seen["there"]


# Controllers


def test_a_remote_controller_may_say_hello_in_any_bytes() -> None:
    """Mininet's own class ends with UnicodeDecodeError here."""
    server = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            with peer:
                peer.sendall(b"\x04\x00\x00\x08\x9f\xff\xfe\xc3")

    threading.Thread(target=greet, daemon=True).start()
    port = server.getsockname()[1]
    try:
        said = lab_python(
            "from tenet_controller import SafeRemoteController\n"
            f"c = SafeRemoteController('c0', ip='127.0.0.1', port={port})\n"
            f"print(c.isListening('127.0.0.1', {port}), c.isListening('127.0.0.1', 1))"
        )
    finally:
        server.close()
    assert said == "True False\n"


PRETENDER = """#!/usr/bin/python3
import http.server, os, pathlib, sys
print(sys.argv[1:], pathlib.Path(sys.argv[2]).read_text().split(), flush=True)
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == '/readyz' else 404)
        self.end_headers()
http.server.HTTPServer(('127.0.0.1', 9696), Ready).serve_forever()
"""


@root
def test_the_controller_node_starts_dies_and_returns(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "ryu-manager"
    program.parent.mkdir()
    program.write_text(PRETENDER)
    program.chmod(0o755)
    said = run(
        *(SANDBOX, "run", "--keep", str(tmp_path), "--", SYSTEM_PYTHON, "-c"),
        f"import sys; sys.path.insert(0, {str(TOPOS)!r})\n"
        "from tenet_controller import TenetController\n"
        "c = TenetController('c0', options={'underlay_mtu': 9000})\n"
        "c.start(); first = c.process.pid; print(c.ready())\n"
        "c.kill(); print(c.ready())\n"
        "c.restart(); print(c.ready(), c.process.pid != first)\n"
        "c.stop(); print(c.ready()); print(c.last_words())",
        env={**os.environ, "TENET_VENV": str(tmp_path)},
    )
    assert said.returncode == 0, said.stderr
    *states, first_log, second_log = [x for x in said.stdout.splitlines() if "GET" not in x]
    assert states == ["True", "False", "True True", "False"]
    assert first_log == second_log
    apps = sorted(f"apps/{entry.name}" for entry in (TOPOS.parent / "apps").iterdir())
    assert all(f"'{app}'" in first_log for app in apps)
    assert "'state_dir', '=', '/run/tenet/state', 'underlay_mtu', '=', '9000'" in first_log


@root
def test_a_controller_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "ryu-manager"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no such option >&2; exit 3\n")
    program.chmod(0o755)
    topology = str(TOPOS / "one_hypervisor.py")
    done = run(
        *(SANDBOX, "run", "--keep", str(tmp_path), "--", SYSTEM_PYTHON, topology, "--test"),
        env={**os.environ, "TENET_VENV": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "the controller ended:\nno such option" in done.stderr


def test_expected_against_seen_is_told_apart() -> None:
    said = lab_python(
        "from evidence import Table\n"
        "t = Table(); t.check('same', 0, '0'); print(t.show())\n"
        "t.check_below('quick', 1, 0.5); print(t.show())\n"
        "t.check('other', 8, 7); print(t.show())\n"
        "t = Table(); t.check_below('slow', 1, 1.5); print(t.show())"
    )
    assert "same: 0 (as expected)" in said and "other: 7 (EXPECTED 8)" in said
    assert "other  8          7       WRONG" in said and "slow   below 1 s  1.50 s  WRONG" in said
    verdicts = [line for line in said.splitlines() if line in ("True", "False")]
    assert verdicts == ["True", "True", "False", "False"]


class Answers(BaseHTTPRequestHandler):
    """As much of the API as the client needs to be tried against."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, str | None, Any]] = []

    def reply(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.asked.append((self.command, self.path, self.headers.get("X-Auth-Token"), body))
        status, answer = self.answer(body)
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("X-Subject-Token", "t0ken")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer(self, body: Any) -> tuple[int, Any]:
        if self.path.endswith("/auth/tokens"):
            return 201, {"token": {"project": {"id": "p1"}}}
        if self.command == "DELETE":
            return 204, None
        if "missing" in self.path:
            error = {"type": "PortNotFound", "message": "no such port", "detail": ""}
            return 404, {"NeutronError": error}
        return 201, body or {"ports": [{"id": "x"}]}

    do_GET = do_POST = do_PUT = do_DELETE = reply

    def log_message(self, *arguments: object) -> None:
        pass


def test_the_client_speaks_the_api(tmp_path: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Answers.asked.clear()
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(
        "clouds:\n  other:\n    auth:\n      username: nobody\n  tenet:\n    auth:\n"
        f"      auth_url: http://127.0.0.1:{server.server_port}/identity\n"
        '      username: admin\n      password: "s3cret"\n      project_name: admin\n'
        "      user_domain_name: Default\n    region_name: RegionOne\n"
    )
    try:
        said = lab_python(
            "import api, pathlib\n"
            f"a = api.Api.from_clouds(pathlib.Path({str(clouds)!r}))\n"
            "print(a.project_id, a.create('port', wait='realised', name='web')['name'])\n"
            "print(a.find('port', name='web', status=['ACTIVE', 'DOWN']))\n"
            "print(a.delete('port', 'x'))\n"
            "try:\n    a.get('port', 'missing')\n"
            "except api.ApiError as error:\n    print(error.status, error.type, error.message)"
        )
    finally:
        server.shutdown()
        server.server_close()
    assert said.splitlines() == ["p1 web", "[{'id': 'x'}]", "None", "404 PortNotFound no such port"]
    login, *rest = Answers.asked
    password = login[3]["auth"]["identity"]["password"]["user"]
    assert password == {"name": "admin", "password": "s3cret", "domain": {"name": "Default"}}
    assert [(method, path, token) for method, path, token, _ in rest] == [
        ("POST", "/v2.0/ports?wait=realised", "t0ken"),
        ("GET", "/v2.0/ports?name=web&status=ACTIVE&status=DOWN", "t0ken"),
        ("DELETE", "/v2.0/ports/x", "t0ken"),
        ("GET", "/v2.0/ports/missing", "t0ken"),
    ]


def test_this_suite_speaks_to_the_python_that_has_mininet() -> None:
    assert lab_python("import mininet.net; print('yes')") == "yes\n", sys.version
