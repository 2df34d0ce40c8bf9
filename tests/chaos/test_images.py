"""triarch-fetch image: layouts become directories, once, whole, and within limits."""

import fcntl
import hashlib
import json
import os
import subprocess
import tarfile
import time

import pytest

from lib.cluster import BUILD
from lib.oci import Layout, file_entry, folder_entry, layer, layer_of, link_entry
from lib.waiting import wait_until

FETCH = BUILD / "triarch-fetch"
MIB = 1 << 20


class Cache:
    def __init__(self, folder):
        self.folder = folder

    def start(self, source, sha256=None, limit=1024 * MIB, **more):
        wish = {
            "source": source,
            "cache": str(self.folder),
            "limit_bytes": limit,
            **({"sha256": sha256} if sha256 else {}),
        }
        process = subprocess.Popen(
            [FETCH, "image"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        process.stdin.write(json.dumps(wish))
        process.stdin.close()
        return process

    def end(self, process):
        """The directory of the image, or the reason."""
        out, err = process.stdout.read(), process.stderr.read()
        if process.wait(60) == 0:
            assert err == ""
            return self.folder / out.strip()
        assert process.returncode == 1 and out == "" and err.count("\n") == 1, err
        return err

    def fetch(self, *args, **more):
        return self.end(self.start(*args, **more))

    def names(self):
        return sorted(p.name for p in self.folder.iterdir() if p.suffix != ".lock")


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "images")


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "layout")


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_the_cache_is_nobody_elses(cache, layout):
    """What is set-user-id in an image is nothing for the users of the host."""
    cache.folder.mkdir(mode=0o755)  # by an earlier version
    layout.add(layer_of(("su", file_entry(b"", 0o4755))))
    image = cache.fetch(f"oci:{layout.folder}")
    assert (image / "rootfs/su").stat().st_mode & 0o7777 == 0o4755
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    other = Cache(cache.folder.parent / "other")
    assert other.fetch(f"oci:{layout.folder}").exists()
    assert other.folder.stat().st_mode & 0o777 == 0o700


def test_layout_and_tags(cache, layout):
    first = layout.add(layer(a=b"1"), tag="one")
    second = layout.add(layer(a=b"2"), tag="two", config={"Cmd": ["x"]})
    image = cache.fetch(f"oci:{layout.folder}:two")
    assert image.name == second and (image / "rootfs/a").read_bytes() == b"2"
    assert json.loads((image / "config.json").read_text())["config"] == {"Cmd": ["x"]}
    assert cache.fetch(f"oci:{layout.folder}:one").name == first
    assert "several images" in cache.fetch(f"oci:{layout.folder}")
    assert 'no image with the tag "three"' in cache.fetch(f"oci:{layout.folder}:three")
    assert cache.names() == sorted([first, second])


def test_layers_and_whiteouts(cache, layout):
    layout.add(
        layer_of(
            ("gone", b"1"),
            ("kept", b"1"),
            ("dir/gone", b"1"),
            ("opaque/gone/deep", b"1"),
            ("becomes-file/x", b"1"),
            ("becomes-dir", b"1"),
            ("usr/lib/old", b"1"),
            ("lib", link_entry("/usr/lib")),
            ("closed", folder_entry(0o500)),
        ),
        layer_of(
            (".wh.gone", b""),
            ("dir/.wh.gone", b""),
            ("opaque/new", b"2"),
            ("opaque/.wh..wh..opq", b""),
            ("becomes-file", b"2"),
            ("becomes-dir", folder_entry()),
            ("becomes-dir/x", b"2"),
            ("lib/new", b"2"),
            ("hard", link_entry("kept", tarfile.LNKTYPE)),
            ("null", link_entry("", tarfile.CHRTYPE)),
            (".wh..wh.aufs", b""),
        ),
    )
    image = cache.fetch(f"oci:{layout.folder}")
    root = image / "rootfs"
    assert tree(root) == sorted(
        "becomes-dir becomes-dir/x becomes-file closed dir hard kept lib opaque opaque/new "
        "usr usr/lib usr/lib/new usr/lib/old".split()
    )
    assert (root / "hard").stat().st_ino == (root / "kept").stat().st_ino
    assert os.readlink(root / "lib") == "/usr/lib"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps owners")
def test_owners_and_modes(cache, layout):
    layout.add(layer_of(("f", file_entry(b"x", 0o4751, 1234))))
    st = (cache.fetch(f"oci:{layout.folder}") / "rootfs/f").stat()
    assert (st.st_uid, st.st_mode & 0o7777) == (1234, 0o4751)


def test_tars(cache, layout, tmp_path):
    layout.add(layer(a=b"1"))
    tar = tmp_path / "image.tar"
    tar.write_bytes(layout.tar())
    key = hashlib.sha256(layout.tar()).hexdigest()
    tar_sum = hashlib.sha256(tar.read_bytes()).hexdigest()
    image = cache.fetch(f"oci:{tar}")
    assert (image / "rootfs/a").read_bytes() == b"1"
    assert tree(image) == ["bytes", "config.json", "rootfs", "rootfs/a"]
    assert cache.fetch(f"file://{tar}", tar_sum) == image
    tar.unlink()
    assert cache.fetch(f"file://{tar}", tar_sum) == image, "it is there: nothing is fetched"
    assert "needs its sha256" in cache.fetch(f"file://{tar}")
    assert "open" in cache.fetch(f"file://{tar}", "0" * 64)
    tar.write_bytes(layout.tar()[:2000])
    assert "image oci:" in cache.fetch(f"oci:{tar}")
    assert "its sha256 is" in cache.fetch(f"file://{tar}", "0" * 64)
    assert cache.names() == [key]


def test_damaged_blobs(cache, layout):
    layout.add(layer(a=os.urandom(5000)))
    for blob in sorted((layout.folder / "blobs/sha256").iterdir()):
        whole = blob.read_bytes()
        for damage in (whole[:-1], whole[:-1] + b"?", whole + b" ", b""):
            blob.write_bytes(damage)
            assert "image oci:" in cache.fetch(f"oci:{layout.folder}")
        blob.unlink()
        assert "image oci:" in cache.fetch(f"oci:{layout.folder}")
        blob.mkdir()
        assert "is not a file" in cache.fetch(f"oci:{layout.folder}")
        blob.rmdir()
        blob.write_bytes(whole)
    assert cache.names() == []
    assert cache.fetch(f"oci:{layout.folder}").is_dir()


@pytest.mark.parametrize(
    "entries",
    [
        [("../bad", b"x")],
        [("a/../../bad", b"x")],
        [("up", link_entry("../../../..")), ("up/bad", b"x")],
        [("up", link_entry("../../../..")), ("up/.wh.secret", b"")],
        [("up", link_entry("../../../..")), ("up/.wh..wh..opq", b"")],
        [("../../../.wh.secret", b"")],
        [("d/.wh...", b"")],
        [("h", link_entry("../../../secret", tarfile.LNKTYPE))],
        [("h", link_entry("/secret", tarfile.LNKTYPE))],
    ],
)
def test_layers_stay_inside(cache, layout, tmp_path, entries):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    layout.add(layer_of(("d/f", b"")), layer_of(*entries))
    cache.fetch(f"oci:{layout.folder}")
    assert secret.read_text() == "secret" and secret.stat().st_nlink == 1
    outside = [n for n in tree(tmp_path) if "/rootfs/" not in n and os.path.basename(n) == "bad"]
    assert outside == []


def test_bad_layouts(cache, layout):
    layout.add(layer(a=b"1"))
    index = layout.folder / "index.json"
    for text in ("", "{}", "[]", '{"manifests": [{}]}', '{"manifests": [{"digest": "sha256:../x"}]}'):
        index.write_text(text)
        assert "image oci:" in cache.fetch(f"oci:{layout.folder}")
    index.unlink()
    index.symlink_to("/etc/passwd")
    assert "index.json" in cache.fetch(f"oci:{layout.folder}")
    assert "No such file" in cache.fetch("oci:/nowhere:tag")
    assert "not absolute" in cache.fetch("oci:here")
    assert cache.names() == []


def test_unpacked_once(cache, layout):
    layout.add(layer(a=os.urandom(MIB)))
    all_at_once = [cache.start(f"oci:{layout.folder}") for _ in range(8)]
    images = {cache.end(p) for p in all_at_once}
    assert len(images) == 1
    born = (images.pop() / "rootfs").stat().st_ino
    assert (cache.fetch(f"oci:{layout.folder}") / "rootfs").stat().st_ino == born


def test_killed_while_it_unpacks(cache, layout):
    key = layout.add(layer_of(*((f"d{n}", b"x" * 4000) for n in range(3000))))
    process = cache.start(f"oci:{layout.folder}")
    wait_until("it unpacks", lambda: (cache.folder / f"{key}.tmp/rootfs/d10").exists())
    process.kill()
    process.wait(60)
    assert cache.names() == [f"{key}.tmp"]
    image = cache.fetch(f"oci:{layout.folder}")
    assert len(tree(image / "rootfs")) == 3000 and cache.names() == [key]


def make_old(cache, key, seconds):
    then = time.time() - seconds
    os.utime(cache.folder / f"{key}.lock", (then, then))


def test_limit(cache, layout):
    keys = [layout.add(layer(a=os.urandom(MIB)), tag=f"t{n}") for n in range(4)]
    for n in range(3):
        cache.fetch(f"oci:{layout.folder}:t{n}")
        make_old(cache, keys[n], 10000 - n)
    (cache.folder / f"{'0' * 64}.tmp").mkdir()
    (cache.folder / f"{'0' * 64}.lock").touch()
    with open(cache.folder / f"{keys[0]}.lock") as in_use:
        fcntl.flock(in_use, fcntl.LOCK_SH)
        cache.fetch(f"oci:{layout.folder}:t3", limit=3 * MIB + MIB // 2)
        assert cache.names() == sorted([keys[0], keys[2], keys[3]]), "the oldest is in use"
        make_old(cache, keys[2], 0)
        cache.fetch(f"oci:{layout.folder}:t3", limit=0)
        assert cache.names() == sorted([keys[0], keys[2], keys[3]]), "in use, or just wanted"
    cache.fetch(f"oci:{layout.folder}:t3", limit=0)
    assert cache.names() == sorted([keys[2], keys[3]])


def test_without_skopeo(cache, tmp_path):
    path = {**os.environ, "PATH": str(tmp_path)}
    assert "not installed on this agent" in cache.fetch("docker://busybox", env=path)


FAKE_SKOPEO = """#!/bin/sh
echo "$@" >>{calls}
case "$1 $2" in
"inspect --raw") [ -e {manifest} ] && exec cat {manifest}
    echo 'time="now" level=fatal msg="no such name"' >&2; exit 1 ;;
"copy --quiet") exec cp -r {layout} "$(echo "$4" | sed 's/^oci://; s/:image$//')" ;;
esac
"""


def test_registry(cache, layout, tmp_path):
    """A tag is asked for each time, what it names is copied once; a sum is asked for never."""
    folder, calls, manifest = tmp_path / "bin", tmp_path / "calls", tmp_path / "manifest"
    folder.mkdir()
    (folder / "skopeo").write_text(
        FAKE_SKOPEO.format(calls=calls, manifest=manifest, layout=layout.folder)
    )
    (folder / "skopeo").chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    assert "skopeo could not inspect it: \"no such name\"" in cache.fetch(
        "docker://host:5000/a:1", env=env
    )
    key = layout.add(layer(f=b"first"), tag="image")
    manifest.write_bytes((layout.folder / "blobs/sha256" / key).read_bytes())
    for _ in range(2):
        image = cache.fetch("docker://host:5000/a:1", env=env)
        assert image.name == key and (image / "rootfs/f").read_text() == "first"
    assert cache.fetch(f"docker://host:5000/a@sha256:{key}") == image
    asked = calls.read_text().splitlines()
    assert [line.split()[0] for line in asked] == ["inspect", "inspect", "copy", "inspect"]
    assert f"docker://host:5000/a@sha256:{key} " in asked[2]
    assert cache.names() == [key]
    assert "give oci:PATH" in cache.fetch("dir:/etc", env=env)


GREEDY_SKOPEO = """#!/bin/sh
[ "$1" = inspect ] && exec echo '{{}}'
to="$(echo "$4" | sed 's/^oci://; s/:image$//')"
mkdir -p "$to/blobs/sha256"
for n in 1 2 3 4 5 6; do truncate -s 3G "$to/blobs/sha256/$n"; done
echo $$ >{pid}
exec sleep 1000
"""


def test_registry_that_does_not_end(cache, tmp_path):
    """Each file is below the limit of one, all of them together are not: skopeo is ended."""
    folder, pid = tmp_path / "bin", tmp_path / "pid"
    folder.mkdir()
    (folder / "skopeo").write_text(GREEDY_SKOPEO.format(pid=pid))
    (folder / "skopeo").chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    process = cache.start("docker://host/a", env=env)
    assert "more than 16384 MiB, the limit of an image" in cache.end(process)
    assert not os.path.exists(f"/proc/{pid.read_text().strip()}")
    assert cache.names() == []


def test_layer_that_changes_while_it_is_written(cache, layout):
    """What was verified is not what is kept."""
    key = layout.add(layer_of(*((f"d{n}", os.urandom(4000)) for n in range(4000))))
    blob = max((layout.folder / "blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
    process = cache.start(f"oci:{layout.folder}")
    wait_until("it writes", lambda: (cache.folder / f"{key}.tmp/rootfs/d10").exists())
    with open(blob, "r+b") as f:
        f.seek(-1, os.SEEK_END)
        f.write(b"!")
    assert "does not have that sum" in cache.end(process)
    assert cache.names() == []


def test_as_ordinary_user(tmp_path, layout):
    if os.geteuid() != 0:
        pytest.skip("the other tests are run by one already")
    layout.add(layer_of(("f", file_entry(b"x", 0o4755, 1234)), ("d", folder_entry(0o500))))
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    for folder in (tmp_path, *tmp_path.parents):
        if "pytest-of-" in str(folder):
            folder.chmod(0o755)  # of pytest itself
    if subprocess.run(["unshare", "-U", "true"], user=65534).returncode != 0:
        pytest.skip("this kernel allows no user namespaces to ordinary users")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    image = Cache(home / "images").fetch(f"oci:{layout.folder}", **nobody)
    assert (image / "rootfs/f").stat().st_uid == 65534
