"""A Slurm of two nodes on this machine, of Debian's packages, in a temporary folder and on loopback only.

Its munged, slurmctld and slurmds are processes of the test; the system's own configuration is neither read nor changed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from models.atomic import is_running

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
NODES = ("node1", "node2")
CPUS = 4  # of a node: as many tasks

# Times are short, so that a test does not wait for what a real cluster does in minutes.
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core,CR_LLN
SchedulerParameters=batch_sched_delay=1,sched_min_interval=500000,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmdTimeout=60
MessageTimeout=60
KillWait=5
MinJobAge=600
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports} CPUs={cpus} RealMemory=64000 State=UNKNOWN
PartitionName=work Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=graceful Nodes=ALL MaxTime=INFINITE PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=2 PreemptMode=OFF
"""


def missing() -> str:
    """What a cluster wants that this machine, or this user, does not have."""
    programs = [name for name in NEEDED if shutil.which(name, path=_path()) is None]
    return ", ".join(programs) if programs else "" if os.geteuid() == 0 else "the rights of root"


class Cluster:
    """Slurm's programs, and the daemons that they talk to.

    Args:
        folder: empty; its path must be short, as it holds a socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH"))}
        self.environment = kept | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
        self.environment |= {"MASTER_ADDR": "127.0.0.1"}  # of trainings on several nodes, whose names no server knows
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        munge = self.folder / "munge"
        munge.mkdir(mode=0o755)
        (self.folder / "state").mkdir()
        key = munge / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        names = ("socket", "pid-file", "log-file", "seed-file")
        files = [f"--{name}={munge / name.removesuffix('-file')}" for name in names]
        self._start("munged", "--foreground", "--force", f"--key-file={key}", *files)
        self.wait(lambda: (munge / "socket").exists(), "munged's socket")
        port, *node_ports = _free_ports(1 + len(NODES))
        config = CONFIG.format(
            folder=self.folder,
            host=socket.gethostname(),
            port=port,
            nodes=",".join(NODES),
            node_ports=",".join(map(str, node_ports)),
            cpus=CPUS,
        )
        (self.folder / "slurm.conf").write_text(config)
        self._start("slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: set(self.nodes().values()) == {"idle"}, "idle nodes", 60)

    def stop(self) -> None:
        for node in NODES:
            self._kill_jobs(node)
        for name in reversed([*self._daemons]):
            self._daemons[name].terminate()
        for daemon in self._daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def start_node(self, node: str) -> None:
        """Starts a node; one that was lost has to be `resume`d."""
        (self.folder / f"spool-{node}").mkdir(exist_ok=True)
        self._start("slurmd", "-D", "-N", node, name=node)

    def resume(self, node: str) -> None:
        self.start_node(node)
        self.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        self.wait(lambda: self.nodes()[node] in ("idle", "mixed", "allocated"), f"{node} back", 120)

    def lose_node(self, node: str) -> None:
        """Kills all that runs on a node, as when its power is cut, and has it noticed at once, not in a minute."""
        slurmd = self._daemons.pop(node)
        slurmd.kill()
        slurmd.wait()
        self._kill_jobs(node)
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=power")

    def run(self, *command: str) -> str:
        """What one of Slurm's programs prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def nodes(self) -> dict[str, str]:
        """The state of each node, such as idle, allocated, down*."""
        return dict(line.split() for line in self.run("sinfo", "-h", "-N", "-p", "work", "-o", "%N %T").splitlines())

    def states(self) -> dict[str, str]:
        """The state of each job, and each task of an array, that is not forgotten yet."""
        lines = self.run("squeue", "-h", "-r", "--states=all", "-o", "%i %T").splitlines()
        return dict(line.split() for line in lines)

    def wait(self, for_what: Callable[[], bool], named: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not for_what():
            if time.monotonic() > end:
                raise TimeoutError(f"{named}: not within {seconds} s; {self.log()}")
            time.sleep(0.1)

    def log(self) -> str:
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{file.name}:\n{file.read_text(errors='replace')[-3000:]}" for file in files)

    def _start(self, program: str, *arguments: str, name: str = "") -> None:
        path = shutil.which(program, path=_path())
        assert path is not None
        with (self.folder / f"{name or program}.out").open("ab") as out:
            self._daemons[name or program] = subprocess.Popen(
                [path, *arguments], env=self.environment, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def _kill_jobs(self, node: str) -> None:
        killed = _below(self._stepds(node))
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait(lambda: not any(map(is_running, killed)), f"the end of the processes of {node}")

    def _stepds(self, node: str) -> list[int]:
        """The processes that look after the jobs of a node; each has its spool folder in its environment or open."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                if process.joinpath("comm").read_text().startswith("slurmstepd"):
                    files = [_target(file) for file in process.joinpath("fd").iterdir()]
                    if any(f"spool-{node}" in file or f"slurmd-{node}" in file for file in files):
                        found.append(int(process.name))
        return found


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _target(file: Path) -> str:
    """Where an open file of a process leads; nothing if it has been closed since."""
    try:
        return os.readlink(file)
    except OSError:
        return ""


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _below(pids: list[int]) -> list[int]:
    """Processes and all that they have started."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = list(pids)
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid and child not in found]
    return found
