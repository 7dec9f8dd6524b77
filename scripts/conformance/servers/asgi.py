# SPDX-License-Identifier: Apache-2.0
import asyncio
import os
import socket

import uvicorn

PORT = int(os.environ["CONF_PORT"])
UNIX = os.environ["CONF_UNIX"]
ROOT = os.environ["CONF_ROOT"]


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    path = scope["path"]
    if path.startswith("http://"):
        path = "/" + path.split("/", 3)[3]

    async def head(status, *headers):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def body(data, more=False):
        await send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(status, data):
        if status in (204, 304):
            data = b""
            await head(status)
        else:
            await head(status, (b"content-length", b"%d" % len(data)))
        await body(data)

    async def pieces(n, delay, text):
        await head(200)
        for i in range(n):
            if i and delay:
                await asyncio.sleep(delay)
            await body(text, True)
        await body(b"")

    if path == "/hello":
        await answer(200, b"hello\n")
    elif path.startswith("/status/"):
        await answer(int(path[8:]), b"status\n")
    elif path == "/post":
        n = 0
        while True:
            message = await receive()
            n += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await answer(200, b"%d\n" % n)
    elif path == "/early":
        await answer(413, b"too much\n")
    elif path == "/big":
        with open(ROOT + "/big", "rb") as f:
            await head(200, (b"content-length", b"%d" % os.fstat(f.fileno()).st_size))
            while data := f.read(1 << 16):
                await body(data, True)
        await body(b"")
    elif path == "/chunked":
        await pieces(5, 0, b"x" * 7)
    elif path == "/stream":
        await pieces(10, 0.05, b"s" * 1000)
    elif path.startswith("/sleep/"):
        await asyncio.sleep(int(path[7:]) / 1000)
        await answer(200, b"slept\n")
    else:
        await answer(404, b"no such path\n")


def listen(family, address):
    s = socket.socket(family)
    if family != socket.AF_UNIX:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(address)
    s.listen(256)
    return s


config = uvicorn.Config(app, log_level="info", timeout_keep_alive=30, lifespan="off")
uvicorn.Server(config).run(sockets=[
    listen(socket.AF_INET, ("127.0.0.1", PORT)),
    listen(socket.AF_INET6, ("::1", PORT)),
    listen(socket.AF_UNIX, UNIX),
])
