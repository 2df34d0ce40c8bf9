"""The network between one agent and the masters, which a test can stall, cut and heal.

A link listens on loopback in the place of each master.  While it is *stalled* nothing passes
and nothing is refused, as with a cable pulled out; what was sent meanwhile arrives when it is
healed.  While it is *cut* connections break at once, as with a firewall that rejects.
"""

import socket
import threading

TO_MASTERS, TO_AGENT = "to the masters", "to the agent"
BOTH = (TO_MASTERS, TO_AGENT)


class Link:
    def __init__(self, ports):
        """ports: those of the masters"""
        self.flows = {way: threading.Event() for way in BOTH}
        self.is_cut = False
        self.is_closed = False
        self.sockets = set()
        self.lock = threading.Lock()
        self.threads = []
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in ports]
        self.addresses = ",".join(
            f"127.0.0.1:{s.getsockname()[1]}" for s in self.listeners
        )
        self.heal()
        for listener, port in zip(self.listeners, ports):
            self._spawn(self._serve, listener, port)

    # ---- what tests do ----

    def stall(self, *ways):
        for way in ways or BOTH:
            self.flows[way].clear()

    def cut(self):
        self.is_cut = True
        self._break_all()

    def heal(self):
        self.is_cut = False
        for flow in self.flows.values():
            flow.set()

    def close(self):
        self.is_closed = True
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
        self._break_all()
        self.heal()
        while self.threads:
            self.threads.pop().join()
        for listener in self.listeners:
            listener.close()

    # ---- its threads ----

    def _spawn(self, run, *params):
        thread = threading.Thread(target=run, args=params)
        self.threads.append(thread)
        thread.start()

    def _break_all(self):
        with self.lock:
            for side in self.sockets:
                try:
                    side.shutdown(socket.SHUT_RDWR)
                except OSError:  # its other end was faster
                    pass

    def _serve(self, listener, port):
        while True:
            try:
                accepted = listener.accept()[0]
            except OSError:  # closed
                return
            if self.is_cut or self.is_closed:
                accepted.close()
            else:
                self._spawn(self._connect, accepted, port)

    def _connect(self, agent, port):
        """One connection, from its begin to its end."""
        with agent, socket.socket() as master:
            with self.lock:
                self.sockets |= {agent, master}
            try:
                self.flows[TO_MASTERS].wait()
                master.connect(("127.0.0.1", port))
                back = threading.Thread(
                    target=self._pump, args=(master, agent, TO_AGENT)
                )
                back.start()
                self._pump(agent, master, TO_MASTERS)
                back.join()
            except OSError:  # nobody listens there now
                pass
            with self.lock:
                self.sockets -= {agent, master}

    def _pump(self, source, sink, way):
        """One way, until its source says that it is over; an error ends both."""
        try:
            while data := source.recv(1 << 16):
                self.flows[way].wait()
                sink.sendall(data)
            self.flows[way].wait()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for side in (source, sink):
                try:
                    side.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
