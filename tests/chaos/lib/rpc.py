"""The protocol of spec 4, spoken by hand: what no well-behaved program of ours says."""

import socket
import struct

import msgpack

from lib.waiting import SLOW

HELLO_MASTER, HELLO_AGENT, HELLO_CLIENT = 1, 2, 3
FRAME_BYTES_MAX = 1 << 20

INVALID, TOO_LARGE, NOT_FOUND, CONFLICT, BUSY = 1, 2, 3, 4, 5
NOT_LEADER, UNKNOWN, UNAVAILABLE, WRONG_CLUSTER = 6, 7, 8, 12


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def frame(value):
    body = pack(value)
    return struct.pack("<I", len(body)) + body


def hello(role=HELLO_CLIENT, cluster=b"", ident=0, protocol=1):
    fields = [protocol, role, cluster, ident, 1, "chaos", b"", 0, False, 0]
    return frame([2, "hello", fields])


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(f"error {error[0]}: {error[1]}")
        self.code, self.text, self.hint, self.retry_after_ms = error


class Connection:
    """A socket to the RPC port of a master."""

    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout * SLOW)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bytes = b""
        self.last_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.socket.close()

    def greet(self, **fields):
        """Hello both ways; what the master says of itself."""
        self.send(hello(**fields))
        kind, method, params = self.receive()
        assert (kind, method) == (2, "hello")
        return params

    def send(self, data):
        """However long it takes: the other side may be slow to read."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.socket.send(rest) :]

    def receive(self):
        """The value of the next frame; None when the other side has closed."""
        while True:
            if len(self.bytes) >= 4:
                size = struct.unpack_from("<I", self.bytes)[0]
                assert size <= FRAME_BYTES_MAX
                if len(self.bytes) >= 4 + size:
                    body = self.bytes[4 : 4 + size]
                    self.bytes = self.bytes[4 + size :]
                    return msgpack.unpackb(body, raw=False, strict_map_key=False)
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self.bytes += more

    def ask(self, method, *params):
        """Send a request; its id."""
        self.last_id += 1
        self.send(frame([0, self.last_id, method, list(params)]))
        return self.last_id

    def answer(self, number):
        """The result of a request, skipping notifies; an error is raised."""
        while True:
            message = self.receive()
            if message is None:
                raise ConnectionError("closed without an answer")
            if message[0] == 1 and message[1] in (0, number):
                if message[2] is not None:
                    raise RpcError(message[2])
                return message[3]

    def request(self, method, *params):
        return self.answer(self.ask(method, *params))

    def last_words(self):
        """The error with which the master ends the connection; None if it only closes."""
        while True:
            message = self.receive()
            if message is None:
                return None
            if message[0] == 1 and message[1] == 0:
                return RpcError(message[2])


def job_spec(name, argv, instances=1, cpus_milli=1000, mem_bytes=128 << 20):
    """Canonical bytes of a job."""
    amounts = [cpus_milli, mem_bytes, 0, 0]
    args = [arg.encode() for arg in argv]
    return pack([name, instances, 0, amounts, 5000, args, []])


def agent_spec(key, amounts, hostname="chaos"):
    return pack([key, hostname, "", amounts, [], []])
