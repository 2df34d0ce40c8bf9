"""A cluster of real processes on loopback, and the client as a user would run it."""

import fcntl
import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib import processes, rpc
from lib.link import Link
from lib.processes import Process, clean_environment
from lib.waiting import SLOW, wait_until
from lib.witness import Witness

BUILD = Path(os.environ.get("TRIARCH_BUILD", ".")).resolve()
NO_JOB = 1 << 60
AGENT_SILENCE = 3 * SLOW  # seconds until an agent is given up; 3 is the masters' default
DIGEST_INTERVAL = 256  # entries of the log between two digests that `masters` shows

# Below the ports that the kernel gives to outgoing connections, so that nobody takes the
# port of a master while it is down.
PORTS = range(10000, 30000)


def closed_to_others():
    """Why other users cannot run the programs of this build; or None."""
    for folder in (BUILD, *BUILD.parents):
        if not folder.stat().st_mode & 0o001:
            return f"other users cannot reach the programs: {folder} is closed to them"
    return None


def open_up(_function, path, _reason):
    """What a mount in a user namespace leaves: directories that not even their owner reads."""
    os.chmod(path, 0o700)
    shutil.rmtree(path)


class Failed(Exception):
    """A command of the client that ended with another status than 0."""

    def __init__(self, words, done):
        super().__init__(
            f"triarch {' '.join(words)}: exit {done.returncode}: {done.stderr}"
        )
        self.status, self.stdout, self.stderr = (
            done.returncode,
            done.stdout,
            done.stderr,
        )


class Client:
    """The program `triarch` for some masters."""

    def __init__(self, addresses):
        self.addresses = ",".join(addresses)

    def run(self, *words, timeout=60, **options):
        """The finished process, whatever its exit status is."""
        return subprocess.run(
            [BUILD / "triarch", "--masters", self.addresses, *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout * SLOW,
            env=clean_environment(),
            check=False,
            **options,
        )

    def __call__(self, *words, **options):
        """What it prints; Failed if it fails."""
        done = self.run(*words, **options)
        if done.returncode != 0:
            raise Failed([str(word) for word in words], done)
        return done.stdout

    def json(self, *words, **options):
        return json.loads(self(*words, "--json", **options))

    def submit(
        self, *argv, key=None, name=None, instances=1, cpus=0.01, mem=1, timeout="30s"
    ):
        """`triarch run`; the id of the job."""
        words = ["run", "--timeout", timeout, "--instances", instances, "--cpus", cpus]
        words += ["--mem", mem]
        words += [] if key is None else ["--key", key]
        words += [] if name is None else ["--name", name]
        return int(self(*words, "--", *argv))

    def submit_spec(self, **spec):
        """`triarch submit` of a job file; the id of the job."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(spec, file)
            file.flush()
            return int(self("submit", file.name))

    def job(self, job):
        return self.json("status", job)

    def states(self, job):
        return [task["state"] for task in self.job(job)["tasks"]]


class Master(Process):
    def __init__(self, cluster, ident, port):
        self.ident = ident
        self.port = port
        self.address = f"127.0.0.1:{port}"
        self.data = cluster.folder / f"master-{ident}"
        super().__init__(f"master {ident}", [], cluster.folder / f"master-{ident}.log")

    def client(self):
        return Client([self.address])

    def connect(self, **fields):
        connection = rpc.Connection(self.port)
        connection.greet(**fields)
        return connection

    def info(self):
        """What it says of itself in `triarch masters`."""
        done = self.client().run("masters", "--json")
        return json.loads(done.stdout)[0]

    def jobs(self):
        """All jobs as this master knows them, by id."""
        return {job["id"]: job for job in self.client().json("status", "--stale")}


class Agent(Process):
    def __init__(self, cluster, number):
        self.work = cluster.folder / f"agent-{number}"
        self.link = None
        super().__init__(f"agent {number}", [], cluster.folder / f"agent-{number}.log")

    @property
    def ident(self):
        """The id that the cluster gave it; the agent may say so later than the masters."""
        follows = re.compile(r"agent (\d+) follows")
        found = wait_until("it has an id", lambda: follows.findall(self.log_text()))
        return int(found[-1])

    def groups(self):
        """(controllers, folder with the groups of attempts) of each hierarchy that it uses."""
        try:
            lines = (self.work / "cgroups").read_text().splitlines()[1:]
        except FileNotFoundError:  # no groups here
            return []
        split = [line.split(":", 2) for line in lines]
        return [(int(mask, 16), Path(place)) for _, mask, place in split]

    def remove_groups(self):
        """What stays on the host until it is restarted: its groups, empty now."""
        for _, place in self.groups():
            for group in [*place.glob("[0-9]*"), *place.glob("spare-*"), place]:
                try:
                    group.rmdir()
                except FileNotFoundError:  # listed for another controller, too
                    pass

    def kill9_host(self):
        """The machine is gone: the agent and all that runs under it."""
        self.kill9()
        processes.end_all(processes.users_of(self.work))


class Cluster:
    """N masters and M agents, not started yet."""

    def __init__(
        self,
        folder,
        seed,
        masters=3,
        agents=0,
        master_options=(),
        resources="cpus:8;mem:4096",
        links=False,
    ):
        """links: each agent reaches the masters through a Link of its own"""
        self.folder = Path(folder)
        self.random = random.Random(seed)
        ports = self.free_ports(masters)
        self.masters = [Master(self, n + 1, port) for n, port in enumerate(ports)]
        self.agents = [Agent(self, n + 1) for n in range(agents)]
        self.list = ",".join(f"{m.ident}={m.address}" for m in self.masters)
        self.client = Client([m.address for m in self.masters])
        self.witness = Witness(BUILD, self.folder)
        for m in self.masters:
            m.argv = self.master_argv(m.ident, m.data)
            if SLOW != 1:
                m.argv += ["--agent-silence", f"{AGENT_SILENCE * 1000:.0f}ms"]
            m.argv += master_options
        for a in self.agents:
            a.link = Link(ports) if links else None
            a.argv = self.agent_argv(a.work, resources, a.link and a.link.addresses)

    # ---- start and end ----

    def free_ports(self, count):
        found = []
        while len(found) < count:
            port = self.random.choice(PORTS)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            if port not in found:
                found.append(port)
        return found

    def master_argv(self, ident, data, cluster=None):
        argv = [BUILD / "triarch-master", "--id", str(ident), "--data-dir", str(data)]
        return argv + ["--cluster", cluster or self.list, "--http", "127.0.0.1:0"]

    def agent_argv(self, work, resources, masters=None):
        argv = [BUILD / "triarch-agent", "--masters", masters or self.client.addresses]
        argv += ["--work-dir", str(work), "--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0"]
        return argv + ["--resources", resources]

    def add_agent(self, masters):
        """One more, started, with a --masters of its own."""
        agent = Agent(self, len(self.agents) + 1)
        agent.argv = self.agent_argv(agent.work, "cpus:8;mem:4096", masters)
        self.agents.append(agent)
        agent.start()
        return agent

    def start(self):
        for process in self.processes():
            process.start()
        wait_until(  # until they listen; the client itself waits for a leader
            "the masters answer", lambda: self.client.run("status").returncode == 0
        )
        self.wait_agents(len(self.agents))
        return self

    def processes(self):
        return self.masters + self.agents

    def close(self):
        """When nothing of it runs any more."""
        for agent in self.agents:
            agent.remove_groups()
            if agent.link is not None:
                agent.link.close()

    def remove(self):
        shutil.rmtree(self.folder, onerror=open_up)

    # ---- looking ----

    def leader(self, among=None):
        """The master that leads, or None; `among`: only these are asked."""
        infos = [(m, m.info()) for m in among or self.masters if m.is_running()]
        leaders = [(i["term"], m) for m, i in infos if i["role"] == "leader"]
        return max(leaders, key=lambda pair: pair[0])[1] if leaders else None

    def wait_leader(self, among=None, timeout=20):
        return wait_until("a master leads", lambda: self.leader(among), timeout)

    def agent_with(self, job):
        """One of the agents that have tasks of this job."""
        busy = {task["agent_id"] for task in self.client.job(job)["tasks"]}
        return self.random.choice([a for a in self.agents if a.ident in busy])

    def wait_caught_up(self, master, timeout=30):
        """Until it has applied what is committed now."""
        wanted = self.wait_leader().info()["commit_index"]
        wait_until(
            f"{master.name} has applied entry {wanted}",
            lambda: (master.info()["applied_index"] or 0) >= wanted,
            timeout,
        )

    def followers(self):
        leader = self.wait_leader()
        return [m for m in self.masters if m is not leader]

    def wait_agents(self, count, state="ACTIVE", timeout=20):
        def enough():
            listed = self.client.json("agents")
            return sum(a["state"] == state for a in listed) >= count

        if count > 0:
            wait_until(f"{count} agents are {state}", enough, timeout)

    def wait_job(self, job, timeout=60):
        """Until it has ended; the job."""

        def ended():
            found = self.client.job(job)
            return found if found["state"] in ("COMPLETE", "FAILED", "KILLED") else None

        return wait_until(f"job {job} has ended", ended, timeout)

    def wait_states(self, job, state, timeout=30):
        """Until every task of a job is in this state."""
        wait_until(
            f"tasks of job {job} are {state}",
            lambda: set(self.client.states(job)) == {state},
            timeout,
        )

    # ---- what holds at the end of every test ----

    def check_processes(self):
        for process in self.processes():
            process.check()

    def write_entries(self, count):
        """So many entries of the log that change nothing."""
        with self.wait_leader().connect() as one, self.wait_leader().connect() as other:
            wanted = index_of(one) + count
            while index_of(one) < wanted:
                for _ in range(64):
                    pair = [(c, c.ask("purge", NO_JOB)) for c in (one, other)]
                    for connection, number in pair:
                        with pytest.raises(rpc.RpcError, match="error 3"):
                            connection.answer(number)

    def check_digests(self):
        """All masters run, have applied the same, and have the same state."""
        for m in self.masters:
            if not m.is_running():
                m.start()
        self.wait_leader()
        self.write_entries(DIGEST_INTERVAL)

        def settled():
            infos = [m.info() for m in self.masters]
            places = {
                (i["applied_index"], i["commit_index"], i["digest_index"])
                for i in infos
            }
            known = all(i["digest"] is not None for i in infos)
            return infos if len(places) == 1 and known else None

        infos = wait_until("all masters have applied the same", settled, 30)
        assert len({i["digest"] for i in infos}) == 1, f"the states differ: {infos}"


def index_of(connection):
    """The index of the state of the master behind a connection."""
    return connection.request("masters", 0, 0, 1, True)[0]


class Gate:
    """Tasks wait for it as long as it is closed."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "w", encoding="utf-8")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def open(self):
        self.file.close()
