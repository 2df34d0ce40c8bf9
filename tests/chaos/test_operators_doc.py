"""docs/operators.md: its files start a cluster, and its commands do what the page says."""

import getpass
import os
import re
import subprocess
from pathlib import Path
from urllib.request import urlopen

from lib.cluster import BUILD
from lib.processes import clean_environment

PAGE = Path(__file__).resolve().parents[2] / "docs/operators.md"
MASTERS = ["m1.example:5049", "m2.example:5049", "m3.example:5049"]
HOST = "w7.example"


def blocks(language, marker):
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n# {marker}(\S+)\n(.*?)^```$", text, re.M | re.S)
    assert len(found) == text.count(f"```{language}\n"), "a block without its marker"
    return dict(found)


FILES = blocks("ini", "/etc/triarch/")
COMMANDS = blocks("sh", "run: ")


def settings(name):
    return dict(line.split(" = ", 1) for line in FILES[name].splitlines())


class Place:
    """The page's cluster, on loopback and in a folder of the test."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.addresses = dict(zip(MASTERS, cluster.client.addresses.split(",")))
        for master in cluster.masters:
            changes = {
                "id": str(master.ident),
                "data-dir": str(master.data),
                "listen": master.address,
                "http": "127.0.0.1:0",
            }
            master.argv = self.argv("master.conf", "triarch-master", master, changes)
        for agent in cluster.agents:
            changes = {
                "work-dir": str(agent.work),
                "http": "127.0.0.1:0",
                "rpc": "127.0.0.1:0",
            }
            if os.geteuid() != 0:  # who can run tasks as itself only
                changes["default-user"] = getpass.getuser()
            agent.argv = self.argv("agent.conf", "triarch-agent", agent, changes)

    def local(self, text):
        for name, address in self.addresses.items():
            text = text.replace(name, address)
        assert "m1.example" not in text
        return text

    def argv(self, name, program, process, changes):
        found = settings(name)
        assert set(changes) <= set(found), "the page does not say it any more"
        path = self.cluster.folder / f"{process.name} {name}".replace(" ", "-")
        lines = [f"{key} = {value}\n" for key, value in (found | changes).items()]
        path.write_text(self.local("".join(lines)), encoding="utf-8")
        return [BUILD / program, "--config", path]

    def give(self, name):
        """What the commands print."""
        env = clean_environment() | {"PATH": f"{BUILD}:{os.environ['PATH']}"}
        env["TRIARCH_MASTERS"] = self.cluster.client.addresses
        done = subprocess.run(
            ["sh", "-ec", self.local(COMMANDS[name])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env=env,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


def metrics(process):
    port = re.search(r"HTTP on .* port=(\d+)", process.log_text())[1]
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return set(re.findall(r"^# TYPE (\S+)", text, re.M))


def test_page(make_cluster):
    """Who changes the page finds here what is started and given."""
    assert set(FILES) == {"master.conf", "agent.conf"}
    assert set(COMMANDS) == {"masters", "roles", "maintenance", "failures", "gone"}
    cluster = make_cluster(masters=3, agents=2)
    place = Place(cluster)
    for agent, host in zip(cluster.agents, (HOST, "w8.example")):
        agent.argv += ["--hostname", host]
    cluster.start()
    assert place.give("masters").count(" leader ") == 1
    named = set(re.findall(r"triarch_[a-z_]+", PAGE.read_text(encoding="utf-8")))
    assert named <= metrics(cluster.masters[0]) | metrics(cluster.agents[0])
    roles = place.give("roles")
    web = r"^web +0 +0 +cpus +0 +1 +- +priority +10 +1\nweb +mem +0 B +256.0 MiB +-$"
    assert re.search(web, roles, re.M), roles
    assert "role batch is removed" in roles
    said = place.give("maintenance")
    assert "takes no new work; what runs there goes on" in said
    assert "is drained: nothing is left on it" in said
    assert {a["mode"] for a in cluster.client.json("agents")} == {"NORMAL"}
    cluster.agents[0].kill9()
    cluster.wait_agents(1, "UNREACHABLE")
    said = place.give("failures")
    assert re.search(r"^[0-9:]+ +unreachable +- +- +\d+ +open", said, re.M)
    assert re.search(r"^unreachable +agents +1 +1 +0 +- +-$", said, re.M)
    assert re.search(rf"{HOST} +GONE", place.give("gone"))
