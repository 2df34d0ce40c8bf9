"""triarch-fetch: what a task needs before it starts, and what it must not do to its host."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import tarfile
import threading
import time
import zipfile

import pytest

from lib.cluster import BUILD
from lib.web import redirect, web  # noqa: F401

FETCH = BUILD / "triarch-fetch"
MIB = 1 << 20


def sum_of(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def sandbox(tmp_path):
    folder = tmp_path / "outer" / "sandbox"
    folder.mkdir(parents=True)
    return folder


def fetch(sandbox, *artifacts):
    """The reason, or None."""
    done = subprocess.run(
        [FETCH, "artifacts"],
        input=json.dumps(list(artifacts)),
        cwd=sandbox,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == ""
    if done.returncode == 0:
        assert done.stderr == ""
        return None
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def artifact(source, sha256, path="a", **more):
    return {
        "source": source,
        "sha256": sha256,
        "path": path,
        "unpack": False,
        "executable": False,
        "max_bytes": MIB,
        "timeout_ms": 20000,
        **more,
    }


def served(web, data, path="a", **more):
    web.files["/x"] = data
    return artifact(web.url + "/x", sum_of(data), path, **more)


def everything(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def tar_of(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in entries:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            data = content if isinstance(content, bytes) else b""
            info.size = len(data) or info.size
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def link(to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, to
    return info


def zip_of(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_files(web, sandbox):
    assert fetch(sandbox, served(web, b"hello", "in/deep/tool", executable=True)) is None
    assert (sandbox / "in/deep/tool").read_bytes() == b"hello"
    assert os.access(sandbox / "in/deep/tool", os.X_OK)
    local = sandbox.parent / "local"
    local.write_bytes(b"here")
    assert fetch(sandbox, artifact(f"file://{local}", sum_of(b"here"), "b")) is None
    assert (sandbox / "b").read_bytes() == b"here"
    assert everything(sandbox) == ["b", "in", "in/deep", "in/deep/tool"]


def test_wrong_sum_leaves_nothing(web, sandbox):
    wish = {**served(web, b"hello"), "sha256": sum_of(b"other")}
    assert f"its sha256 is {sum_of(b'hello')}" in fetch(sandbox, wish)
    assert everything(sandbox) == []


def test_cut_short(web, sandbox):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")

    web.files["/x"] = answer
    reason = fetch(sandbox, artifact(web.url + "/x", sum_of(b"half")))
    assert f"artifact a from {web.url}/x: " in reason
    assert everything(sandbox) == []


def test_size(web, sandbox):
    assert "raise max_size" in fetch(sandbox, served(web, bytes(1001), max_bytes=1000))
    assert fetch(sandbox, served(web, bytes(1000), max_bytes=1000)) is None


def test_time(web, sandbox):
    done = threading.Event()
    web.files["/x"] = lambda handler: done.wait(30)
    begin = time.monotonic()
    reason = fetch(sandbox, artifact(web.url + "/x", sum_of(b""), timeout_ms=300))
    assert f"artifact a from {web.url}/x: not done after 300ms" in reason
    assert time.monotonic() - begin < 10
    done.set()


def test_refused_answers(web, sandbox):
    good = sum_of(b"good")
    web.files["/good"] = b"good"
    web.files["/once"] = redirect("/good")
    web.files["/loop"] = redirect("/loop")
    web.files["/file"] = redirect("file:///etc/passwd")
    web.files["/ftp"] = redirect("ftp://127.0.0.1/x")
    assert fetch(sandbox, artifact(web.url + "/once", good)) is None
    for path in ("/loop", "/file", "/ftp", "/absent"):
        reason = fetch(sandbox, artifact(web.url + path, good, "bad"))
        assert f"artifact bad from {web.url}{path}: " in reason
    assert web.gets.count("/loop") == 6
    assert everything(sandbox) == ["a"]


def test_reasons_keep_secrets(sandbox):
    """Who may see why a task failed need not see what its job may fetch."""
    for source, shown in (
        ("http://me:s@secret@127.0.0.1:1/x", "http://127.0.0.1:1/x"),
        ("http://me:secret@127.0.0.1:1/x?token=secret#secret", "http://127.0.0.1:1/x"),
        ("http://127.0.0.1:1/" + "x" * 200, "http://127.0.0.1:1/" + "x" * 81 + "…"),
        ("http://127.0.0.1:1/a@b", "http://127.0.0.1:1/a@b"),
    ):
        reason = fetch(sandbox, artifact(source, sum_of(b"")))
        assert f"artifact a from {shown}: " in reason and "secret" not in reason


def test_refused_sources(sandbox):
    os.mkfifo(sandbox.parent / "pipe")
    for source in (
        "gopher://127.0.0.1:1/x",
        "scp://127.0.0.1/x",
        "http://127.0.0.1:1/x",
        f"file://{sandbox.parent}/pipe",
        "file:///dev/zero",
        "file:///",
        "http://[::1",
        "",
    ):
        assert f"artifact a from {source}: " in fetch(sandbox, artifact(source, sum_of(b"")))
    assert everything(sandbox) == []


def test_paths_stay_inside(web, sandbox):
    os.symlink("..", sandbox / "up")
    for path in ("../a", "/tmp/a", "x/../../a", "up/a", "", "x/" + "n" * 300 + "/a"):
        assert fetch(sandbox, served(web, b"bad", path)) is not None
    assert everything(sandbox.parent) == ["sandbox", "sandbox/up", "sandbox/x"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_unpack_tar(web, sandbox, pack):
    data = pack(tar_of(("d/f", b"text"), ("d/l", link("f")), ("d/h", link("d/f", tarfile.LNKTYPE))))
    assert fetch(sandbox, served(web, data, "to/here", unpack=True)) is None
    assert (sandbox / "to/here/d/l").read_bytes() == b"text"
    assert (sandbox / "to/here/d/h").stat().st_nlink == 2


def test_unpack_zip(web, sandbox):
    assert fetch(sandbox, served(web, zip_of(f="text"), "to", unpack=True)) is None
    assert (sandbox / "to/f").read_text() == "text"


@pytest.mark.parametrize(
    "entries",
    [
        [("../bad", b"x")],
        [("a/../../../bad", b"x")],
        [("/bad", b"x")],
        [("l", link("../..")), ("l/bad", b"x")],
        [("l", link("/tmp")), ("l/bad", b"x")],
        [("l", link("..")), ("l/m/bad", b"x")],
        [("h", link("../../secret", tarfile.LNKTYPE)), ("h", b"bad")],
        [("l", link("..")), ("h", link("l/secret", tarfile.LNKTYPE))],
        [("dev", link("", tarfile.CHRTYPE))],
        [("pipe", link("", tarfile.FIFOTYPE))],
    ],
)
def test_hostile_tar(web, sandbox, entries):
    (sandbox.parent / "secret").write_text("secret")
    data = tar_of(*entries)
    assert fetch(sandbox, served(web, data, ".", unpack=True)) is not None
    assert everything(sandbox.parent)[0] == "sandbox"
    assert not [name for name in everything(sandbox.parent) if "bad" in name]
    secret = sandbox.parent / "secret"
    assert secret.read_text() == "secret" and secret.stat().st_nlink == 1


def test_link_of_an_archive_before(web, sandbox):
    first = served(web, tar_of(("l", link(".."))), ".", unpack=True)
    assert fetch(sandbox, first) is None
    assert fetch(sandbox, served(web, b"bad", "l/bad")) is not None
    data = tar_of(("l/bad", b"x"))
    assert fetch(sandbox, served(web, data, ".", unpack=True)) is not None
    assert everything(sandbox.parent) == ["sandbox", "sandbox/l"]


def test_bombs(web, sandbox):
    big = bytes(50 * MIB)
    for data in (gzip.compress(tar_of(("big", big))), zip_of(big=big)):
        assert "unpacked" in fetch(sandbox, served(web, data, ".", unpack=True))
    folder = tarfile.TarInfo()
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    files = tar_of(*(("d", folder) for _ in range(100001)))
    reason = fetch(sandbox, served(web, gzip.compress(files), "many", unpack=True))
    assert "too many files" in reason


@pytest.mark.parametrize("size", [0, 1, 100, 600, 1500])
def test_broken_archives(web, sandbox, size):
    data = gzip.compress(tar_of(("f", os.urandom(2000))))[:size]
    assert fetch(sandbox, served(web, data, "d", unpack=True)) is not None


def test_no_privileged_bits(web, sandbox):
    info = tarfile.TarInfo()
    info.mode = 0o6755
    assert fetch(sandbox, served(web, tar_of(("f", info)), ".", unpack=True)) is None
    assert (sandbox / "f").stat().st_mode & 0o7000 == 0


def test_requests_that_are_none():
    for text in ("", "{}", "[1]", "[{}]", '[{"source": 1}]', "\0"):
        done = subprocess.run([FETCH, "artifacts"], input=text, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.startswith("request: ")
    assert subprocess.run([FETCH], capture_output=True).returncode == 2


def test_only_this_program_links_it():
    def libraries(name):
        return subprocess.run(["ldd", BUILD / name], capture_output=True, text=True).stdout

    assert "libcurl" in libraries("triarch-fetch")
    for name in ("triarch-agent", "triarch-shim", "triarch-master", "triarch"):
        assert not [x for x in ("libcurl", "libarchive") if x in libraries(name)], name
