"""Fixtures: clusters of real processes, their logs on a failure, and the seed."""

import os
import random
import tempfile
from pathlib import Path

import pytest

from lib import processes
from lib.cluster import BUILD, Cluster
from lib.containers import start_containers

SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
PROGRAMS = ("triarch-master", "triarch-agent", "triarch", "tests/chaos/witness")


def pytest_report_header():
    return f"programs of {BUILD}; repeat with CHAOS_SEED={SEED}"


def pytest_sessionstart():
    missing = [name for name in PROGRAMS if not (BUILD / name).exists()]
    if missing:
        pytest.exit(
            f"not in {BUILD}: {', '.join(missing)}; run `make chaos`, or set TRIARCH_BUILD",
            2,
        )
    processes.become_subreaper()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed:
        item.broken = True
        for cluster in getattr(item, "clusters", []):
            title = f"logs in {cluster.folder}; repeat with CHAOS_SEED={SEED}"
            report.sections.append((title, all_tails(cluster)))


def all_tails(cluster):
    started = [p for p in cluster.processes() if p.log.exists()]
    return "\n".join(f"---- {p.name}: {p.log}\n{p.tail()}" for p in started)


def is_broken(node):
    return getattr(node, "broken", False)


@pytest.fixture
def make_cluster(request):
    """make_cluster(masters=3, agents=0, …): a cluster, not started, that ends with the test."""
    request.node.clusters = []

    def make(**options):
        folder = Path(tempfile.mkdtemp(prefix="triarch-chaos-"))
        seed = f"{SEED} {request.node.name} {len(request.node.clusters)}"
        cluster = Cluster(folder, seed, **options)
        request.node.clusters.append(cluster)
        return cluster

    yield make
    try:
        for cluster in request.node.clusters:
            cluster.check_processes()
    except AssertionError:
        request.node.broken = True
        raise
    finally:
        processes.end_descendants()
        for cluster in request.node.clusters:
            cluster.close()
        if not is_broken(request.node):
            for cluster in request.node.clusters:
                cluster.remove()


@pytest.fixture
def start_cluster(request, make_cluster):
    """As make_cluster, and started; when the test has passed, the masters must agree."""
    started = []

    def start(**options):
        started.append(make_cluster(**options))
        return started[-1].start()

    yield start
    if is_broken(request.node):
        return
    request.node.broken = True  # keeps the logs if it fails now
    for cluster in started:
        cluster.check_digests()
    request.node.broken = False


@pytest.fixture(params=["root", "ordinary"])
def containers(request, make_cluster):
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("only root can start it as root")
    found = start_containers(make_cluster, request.param == "ordinary")
    yield found
    found.end()


@pytest.fixture
def root(make_cluster):
    if os.geteuid() != 0:
        pytest.skip("only root's containers have other users than root")
    found = start_containers(make_cluster, False)
    yield found
    found.end()


@pytest.fixture
def restricted(make_cluster):
    if os.geteuid() != 0:
        pytest.skip("only root's containers have other users than root")
    found = start_containers(make_cluster, False, "--default-user", "nobody")
    yield found
    found.end()
