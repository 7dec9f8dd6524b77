# SPDX-License-Identifier: Apache-2.0
import os
import time

ROOT = os.environ["CONF_ROOT"]


def stream(n, delay, text):
    for i in range(n):
        if i:
            time.sleep(delay)
        yield text


def app(env, start):
    path = env["PATH_INFO"]

    def answer(status, body):
        headers = [("Content-Type", "text/plain")]
        if status not in (204, 304):
            headers.append(("Content-Length", str(len(body))))
        start("%d Test" % status, headers)
        return [b"" if env["REQUEST_METHOD"] == "HEAD" or status in (204, 304) else body]

    if path.startswith("http://"):
        path = "/" + path.split("/", 3)[3]
    if path == "/hello":
        return answer(200, b"hello\n")
    if path.startswith("/status/"):
        return answer(int(path[8:]), b"status\n")
    if path == "/post":
        return answer(200, b"%d\n" % len(env["wsgi.input"].read()))
    if path == "/early":
        return answer(413, b"too much\n")
    if path == "/big":
        f = open(ROOT + "/big", "rb")
        start("200 OK", [("Content-Length", str(os.fstat(f.fileno()).st_size))])
        return env["wsgi.file_wrapper"](f)
    if path.startswith("/sleep/"):
        time.sleep(int(path[7:]) / 1000)
        return answer(200, b"slept\n")
    if path == "/chunked":
        start("200 OK", [("Content-Type", "text/plain")])
        return stream(5, 0, b"x" * 7)
    if path == "/stream":
        start("200 OK", [("Content-Type", "text/plain")])
        return stream(10, 0.05, b"s" * 1000)
    return answer(404, b"no such path\n")
