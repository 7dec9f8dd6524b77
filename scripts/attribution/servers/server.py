# SPDX-License-Identifier: Apache-2.0
"""A thread per connection. Arguments: port, port of the downstream server, folder."""
import http.client
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, DOWNSTREAM, FOLDER = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
CHUNK = 1 << 20
DATA = b"x" * CHUNK
LOCK = threading.Lock()
FILES = {}
now = time.monotonic_ns


def runq_ns():
    with open("/proc/thread-self/schedstat") as f:
        return int(f.read().split()[1])


def hold():
    """Holds the lock for 50 ms whenever a datagram asks for it."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", PORT))
    while True:
        _, peer = s.recvfrom(1)
        with LOCK:
            s.sendto(b"h", peer)
            time.sleep(0.05)


def data_of(client):
    """Every client has a file of its own, so that they do not lock one another out."""
    if client not in FILES:
        FILES[client] = os.open(os.path.join(FOLDER, "data-" + client), os.O_RDWR | os.O_CREAT, 0o644)
    return FILES[client]


def use_disk(fd, until):
    offset = 0
    while now() < until:
        offset = (offset + CHUNK) % (64 * CHUNK)
        os.pwrite(fd, DATA, offset)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pread(fd, CHUNK, offset)


def use_memory(fd, until):
    """Dirties page cache."""
    offset = 0
    while now() < until:
        offset = (offset + CHUNK) % (512 * CHUNK)
        os.pwrite(fd, DATA, offset)


def work(path, client, began):
    if path == "/spin":
        while now() < began + 50_000_000:
            pass
    elif path == "/sleep":
        time.sleep(0.05)
    elif path == "/lock":
        with LOCK:
            pass
    elif path == "/net":
        c = http.client.HTTPConnection("127.0.0.1", DOWNSTREAM)
        c.request("GET", "/")
        c.getresponse().read()
        c.close()
    elif path == "/disk":
        use_disk(data_of(client), began + 50_000_000)
    elif path == "/memory":
        use_memory(data_of(client), began + 150_000_000)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        path, query = self.path.split("?n=")
        runq, cpu, began = runq_ns(), time.thread_time_ns(), now()
        work(path, query.split("-")[0], began)
        body = json.dumps({
            "added_ns": now() - began,
            "cpu_ns": time.thread_time_ns() - cpu,
            "runq_ns": runq_ns() - runq,
        }).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


threading.Thread(target=hold, daemon=True).start()
ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
