"""Images, made by hand: a layout is a directory with index.json and blobs."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"


def file_entry(data, mode=0o644, uid=0):
    info = tarfile.TarInfo()
    info.mode, info.uid, info.size = mode, uid, len(data)
    return info, data


def link_entry(to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, to
    return info, b""


def folder_entry(mode=0o755):
    info = tarfile.TarInfo()
    info.type, info.mode = tarfile.DIRTYPE, mode
    return info, b""


def layer(**entries):
    return layer_of(*entries.items())


def layer_of(*entries):
    """Entries are (name, bytes) or (name, (TarInfo, bytes))."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in entries:
            info, data = file_entry(content) if isinstance(content, bytes) else content
            info.name = name
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue())


def busybox_layer():
    """bin/busybox of Debian's busybox-static, and its applets as links."""
    data = Path("/bin/busybox").read_bytes()
    applets = "sh true false sleep cat echo id env ls touch kill pwd mount tail".split()
    passwd = b"root:x:0:0:root:/root:/bin/sh\nuser:x:1234:1235::/:/bin/sh\n"
    return layer_of(
        ("bin", folder_entry()),
        ("bin/busybox", file_entry(data, 0o755)),
        *((f"bin/{name}", link_entry("busybox")) for name in applets),
        ("etc", folder_entry()),
        ("etc/passwd", passwd),
    )


class Layout:
    def __init__(self, folder):
        self.folder = Path(folder)
        (self.folder / "blobs/sha256").mkdir(parents=True)
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.manifests = []

    def blob(self, data):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        name = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs/sha256" / name).write_bytes(data)
        return {"digest": f"sha256:{name}", "size": len(data)}

    def add(self, *layers, tag=None, config=None):
        """Returns the key of the image."""
        manifest = {
            "schemaVersion": 2,
            "config": self.blob({"os": "linux", "config": config or {}}),
            "layers": [self.blob(data) for data in layers],
        }
        entry = {"mediaType": MANIFEST, **self.blob(manifest)}
        if tag:
            entry["annotations"] = {REF_NAME: tag}
        self.manifests.append(entry)
        self.write_index()
        return entry["digest"].removeprefix("sha256:")

    def write_index(self):
        index = {"schemaVersion": 2, "manifests": self.manifests}
        (self.folder / "index.json").write_text(json.dumps(index))

    def tar(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name in ("oci-layout", "index.json", "blobs"):
                tar.add(self.folder / name, name)
        return out.getvalue()
