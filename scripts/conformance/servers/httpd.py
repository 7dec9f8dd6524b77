# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ["CONF_PORT"])
UNIX = os.environ["CONF_UNIX"]
ROOT = os.environ["CONF_ROOT"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "client"

    def log_request(self, code="-", size="-"):
        sys.stdout.write("conf|%d|-|-|-|%s\n" % (int(code), self.requestline))
        sys.stdout.flush()

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            n = 0
            while True:
                size = int(self.rfile.readline(), 16)
                n += len(self.rfile.read(size))
                self.rfile.readline()
                if size == 0:
                    return n
        return len(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, status, body):
        self.send_response(status)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def pieces(self, n, delay, text, trailers=b""):
        chunked = self.request_version == "HTTP/1.1"
        self.send_response(200)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.close_connection = True
        self.end_headers()
        for i in range(n):
            if i:
                time.sleep(delay)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text) if chunked else text)
        if chunked:
            self.wfile.write(b"0\r\n" + trailers + b"\r\n")

    def serve(self):
        path = self.path
        if path.startswith("http://"):
            path = "/" + path.split("/", 3)[3]
        path = path.split("?")[0]
        if path == "/hello":
            self.answer(200, b"hello\n")
        elif path.startswith("/status/"):
            self.answer(int(path[8:]), b"status\n")
        elif path == "/post":
            self.answer(200, b"%d\n" % self.read_body())
        elif path == "/early":
            self.close_connection = True
            self.answer(413, b"too much\n")
        elif path == "/big":
            with open(ROOT + "/big", "rb") as f:
                self.send_response(200)
                self.send_header("Content-Length", str(os.fstat(f.fileno()).st_size))
                self.end_headers()
                self.wfile.flush()
                self.connection.sendfile(f)
        elif path == "/chunked":
            self.pieces(5, 0, b"x" * 7)
        elif path == "/trailers":
            self.pieces(3, 0, b"t", b"X-Sum: abc\r\nX-Count: 3\r\n")
        elif path == "/stream":
            self.pieces(10, 0.05, b"s" * 1000)
        elif path.startswith("/sleep/"):
            time.sleep(int(path[7:]) / 1000)
            self.answer(200, b"slept\n")
        elif path == "/upgrade":
            self.close_connection = True
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "echo")
            self.end_headers()
            while data := self.connection.recv(4096):
                self.connection.sendall(data)
        elif path == "/hints":
            self.send_response_only(103)
            self.send_header("Link", "</style.css>; rel=preload")
            self.end_headers()
            self.answer(200, b"hinted\n")
        else:
            self.answer(404, b"no such path\n")

    do_GET = do_HEAD = do_POST = do_OPTIONS = serve


class V6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


for server in (V6(("::1", PORT), Handler), Unix(UNIX, Handler)):
    threading.Thread(target=server.serve_forever, daemon=True).start()
main = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
main.request_queue_size = 128
main.socket.listen(128)
main.serve_forever()
