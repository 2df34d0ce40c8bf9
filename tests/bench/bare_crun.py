"""A bundle for a bare loop of `crun run`: what a container is, without a cluster."""
import json, os, shutil, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../chaos"))
from lib.oci import Layout, busybox_layer

UNIFIED = "/sys/fs/cgroup/unified"
SPACE = f"mount --make-rprivate / && if [ -e {UNIFIED}/cgroup.procs ]; then umount {UNIFIED}; fi"


def missing():
    """Why this cannot be measured here, or None."""
    if os.geteuid() != 0:
        return "only root has a bare crun that is alike"
    if shutil.which("crun") is None or not os.path.exists("/bin/busybox"):
        return "it needs crun and busybox-static"
    alone = subprocess.run(["unshare", "-m", "sh", "-c", SPACE], capture_output=True, text=True)
    return alone.stderr.strip() or None if alone.returncode else None


def make_image(folder):
    """Of `true` and little more; the source of a job."""
    Layout(f"{folder}/layout").add(busybox_layer(), tag="true")
    return f"oci:{folder}/layout:true"


def leave_out_begin(path):
    """What our containers are before they are their command; bare crun starts that at once."""
    with open(path) as f:
        config = json.load(f)
    config["process"]["args"] = config["process"]["args"][2:]
    with open(path, "w") as f:
        json.dump(config, f)


def make_bundle(build, folder, image):
    """The very configuration of our tasks, with the files of the image as they are."""
    request = {
        "image": {"source": image, "cache": f"{folder}/images", "limit_bytes": 1 << 30},
        "bundle": f"{folder}/bundles/1", "sandbox": f"{folder}/sandbox",
        "argv": ["true"], "env": [], "volumes": [], "allowed": [], "fetch": f"{build}/triarch-fetch",
    }
    os.mkdir(f"{folder}/sandbox")
    subprocess.run([f"{build}/triarch-contain", "bundle"], input=json.dumps(request), text=True,
                   check=True, capture_output=True, cwd=folder)
    leave_out_begin(f"{folder}/bundles/1/config.json")
    os.rmdir(f"{folder}/bundles/1/rootfs")
    shutil.copytree(f"{folder}/bundles/1/image/rootfs", f"{folder}/bundles/1/rootfs", symlinks=True)
    return f"{folder}/bundles/1"


def loop(build, count, folder, bundle):
    """Containers a second, one after the other.  crun 1.8 does not start where version 2 of
    cgroups is mounted beside version 1, so that is taken out of its sight."""
    words = [f"{build}/tests/bench/fork_loop", str(count), "crun", "--root", f"{folder}/state",
             "run", "--bundle", bundle, "bench"]
    done = subprocess.run(["unshare", "-m", "sh", "-c", f'{SPACE} && exec "$@"', "sh", *words],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"crun run: {done.stderr}")
    return float(done.stdout)
