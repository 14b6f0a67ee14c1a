#!/usr/bin/python3
"""Run a command, or the whole lab, where nothing of it can touch or outlive this machine.

Owns the private network, mount and process namespaces: their first process, what is mounted in
them, and the lock by which a second terminal finds them. Refuses to start when not root.
The one idea: the lab is one process to the machine. Its namespaces' first process dies with it
(the kernel sends the signal, so `kill -9` counts too), and with that process all the rest goes:
switches, hosts, interfaces, routes, state.

    sandbox.py run [--keep DIRECTORY]... -- COMMAND...   exit status and signals pass through
    sandbox.py shell [TOPOLOGY.py [OPTION]...]           the lab with Mininet's CLI; run again
                                                         (second terminal): a shell inside it
    sandbox.py attach                                    only the second half of `shell`

/run, /tmp and Open vSwitch's own directories are empty and private inside. A checkout, a working
directory or a virtual environment that lives below one of them stays visible, and so does every
directory given with --keep.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
LOCK = Path("/run/tenet-lab.lock")
INSIDE = "TENET_SANDBOX"
PRIVATE = ("/run", "/tmp", "/etc/openvswitch", "/var/lib/openvswitch", "/var/log/openvswitch")
PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1}
AWAITED = PASSED_ON | {signal.SIGCHLD}

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
PR_SET_PDEATHSIG = 1
SI_KERNEL = 0x80


def inside() -> bool:
    """Whether this process already runs in a sandbox."""
    return INSIDE in os.environ


def system_call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{name}: {os.strerror(errno)}")


def run(
    command: Sequence[str],
    keep: Iterable[Path] = (),
    started: Callable[[int], None] = lambda pid: None,
) -> int:
    """Run a command in fresh namespaces and return its exit status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    gate_read, gate_write = os.pipe()
    system_call("unshare", CLONE_NEWPID)
    first = os.fork()
    if first == 0:
        os.close(gate_write)
        os._exit(be_first_process(command, [*kept_directories(), *keep], gate_read))
    os.close(gate_read)
    started(first)
    os.write(gate_write, b"!")
    os.close(gate_write)
    return wait_for(first)


def be_first_process(command: Sequence[str], keep: Sequence[Path], gate: int) -> int:
    """Process 1 of the sandbox: set it up, start the command, reap orphans."""
    try:
        system_call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL)
        if not os.read(gate, 1):
            return 1  # The parent ended before the kernel knew whom to tell.
        os.close(gate)
        system_call("unshare", CLONE_NEWNET | CLONE_NEWNS)
        mount_privately(keep)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 125
    environment = {**os.environ, INSIDE: "1"}
    try:
        child = os.posix_spawnp(
            command[0],
            list(command),
            environment,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
    except OSError as error:
        print(f"sandbox: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    return wait_for(child)


def wait_for(child: int) -> int:
    """Pass signals on to a child, reap whoever else ends, return the child's exit status."""
    while True:
        caught = signal.sigwaitinfo(AWAITED)
        if caught.si_signo == signal.SIGCHLD:
            status = reap(child)
            if status is not None:
                return status if status >= 0 else 128 - status
        elif caught.si_code != SI_KERNEL:
            # What the terminal sends (Ctrl-C) has reached the whole process group already.
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, caught.si_signo)


def reap(child: int) -> int | None:
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            found = os.waitstatus_to_exitcode(status)


def kept_directories() -> list[Path]:
    """What the command needs to see, wherever it lies."""
    kept = [PROJECT, Path.cwd()]
    venv = os.environ.get("TENET_VENV")
    if venv:
        kept.append(Path(venv))
    return kept


def mount_privately(keep: Iterable[Path]) -> None:
    """Fresh /proc and /sys for the new namespaces, empty directories where the lab writes."""
    working_directory = os.getcwd()
    held = {
        directory: os.open(directory, os.O_PATH | os.O_DIRECTORY)
        for directory in (path.resolve() for path in keep)
        if any(directory.is_relative_to(hidden) for hidden in PRIVATE)
    }
    mount("--make-rprivate", "/")
    mount("-t", "proc", "proc", "/proc")
    for part in os.listdir("/proc/sys"):
        # Settings of the whole machine (Mininet raises some); only the network's are ours.
        if part != "net":
            mount("-o", "bind,ro", f"/proc/sys/{part}", f"/proc/sys/{part}")
    mount("-t", "sysfs", "sysfs", "/sys")
    for hidden in PRIVATE:
        if os.path.isdir(hidden):
            mode = os.stat(hidden).st_mode & 0o7777
            mount("-t", "tmpfs", "-o", f"mode={mode:o}", "tmpfs", hidden)
    for directory, descriptor in sorted(held.items()):
        directory.mkdir(parents=True, exist_ok=True)
        # Not by its path (nor what mount makes of it without -c): that is the new empty one.
        mount("-c", "--bind", f"/proc/self/fd/{descriptor}", str(directory), pass_fds=(descriptor,))
        os.close(descriptor)
    os.makedirs("/run/openvswitch", exist_ok=True)
    os.makedirs("/run/lock", exist_ok=True)
    os.chdir(working_directory)


def mount(*arguments: str, pass_fds: Sequence[int] = ()) -> None:
    subprocess.run(["mount", "-n", *arguments], check=True, pass_fds=pass_fds)


def shell(topology: Sequence[str]) -> int:
    """Start the lab with Mininet's CLI, or open a second terminal in the running one."""
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not locked(descriptor):
        if topology:
            print("sandbox: a lab is running already; attaching to it", file=sys.stderr)
        return enter(descriptor)

    def announce(pid: int) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(pid).encode(), 0)

    command = list(topology) or [str(HERE / "three_hypervisors.py")]
    return run(["/usr/bin/python3", *command], started=announce)


def attach() -> int:
    """Open a terminal in the running lab; say so when there is none."""
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if locked(descriptor):
        print("sandbox: no lab is running; start one with: ./run shell", file=sys.stderr)
        return 1
    return enter(descriptor)


def locked(descriptor: int) -> bool:
    """Take the lab's lock. The kernel gives it back when its holder ends, however that ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def enter(descriptor: int) -> int:
    """Run a shell in the namespaces of the lab whose lock this is."""
    written = b""
    for _ in range(50):
        written = os.pread(descriptor, 32, 0)
        if written and os.path.exists(f"/proc/{int(written)}"):
            break
        time.sleep(0.1)
    else:
        print("sandbox: the running lab does not answer", file=sys.stderr)
        return 1
    os.environ[INSIDE] = "1"
    target = ["nsenter", "-t", str(int(written)), "-n", "-m", "-p", "-w"]
    os.execvp("nsenter", [*target, "bash", "--rcfile", str(HERE / "shell.bashrc"), "-i"])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="sandbox.py", description="Tenet's lab, sealed off.")
    jobs = parser.add_subparsers(dest="job", required=True)
    run_job = jobs.add_parser("run", help="run a command in private namespaces")
    run_job.add_argument("--keep", action="append", default=[], type=Path, metavar="DIRECTORY")
    run_job.add_argument("command", nargs="+")
    shell_job = jobs.add_parser("shell", help="the lab with Mininet's CLI, or a terminal in it")
    shell_job.add_argument("topology", nargs=argparse.REMAINDER)
    jobs.add_parser("attach", help="a terminal in the running lab")
    chosen = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("sandbox: only root can make network namespaces", file=sys.stderr)
        return 1
    if chosen.job == "run":
        return run(chosen.command, chosen.keep)
    return shell(chosen.topology) if chosen.job == "shell" else attach()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
