# SPDX-License-Identifier: Apache-2.0
import asyncio
import logging
import os
import socket
import sys

from aiohttp import web

PORT = int(os.environ["CONF_PORT"])
UNIX = os.environ["CONF_UNIX"]
ROOT = os.environ["CONF_ROOT"]


async def pieces(request, n, delay, text):
    response = web.StreamResponse()
    if request.version >= (1, 1):
        response.enable_chunked_encoding()
    await response.prepare(request)
    for i in range(n):
        if i and delay:
            await asyncio.sleep(delay)
        await response.write(text)
    await response.write_eof()
    return response


async def app(request):
    path = request.path
    if path == "/hello":
        return web.Response(text="hello\n")
    if path.startswith("/status/"):
        status = int(path[8:])
        return web.Response(status=status, text=None if status in (204, 304) else "status\n")
    if path == "/post":
        n = 0
        async for data in request.content.iter_any():
            n += len(data)
        return web.Response(text="%d\n" % n)
    if path == "/early":
        response = web.Response(status=413, text="too much\n")
        response.force_close()
        return response
    if path == "/big":
        return web.FileResponse(ROOT + "/big")
    if path == "/chunked":
        return await pieces(request, 5, 0, b"x" * 7)
    if path == "/stream":
        return await pieces(request, 10, 0.05, b"s" * 1000)
    if path.startswith("/sleep/"):
        await asyncio.sleep(int(path[7:]) / 1000)
        return web.Response(text="slept\n")
    return web.Response(status=404, text="no such path\n")


def listen(family, address):
    s = socket.socket(family)
    if family != socket.AF_UNIX:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(address)
    s.listen(256)
    return s


logging.basicConfig(stream=sys.stdout, format="%(message)s")
logging.getLogger("aiohttp.access").setLevel(logging.INFO)
application = web.Application()
application.router.add_route("*", "/{tail:.*}", app)
web.run_app(application, print=None, access_log_format="conf|%s|%b|-|-|%r", sock=[
    listen(socket.AF_INET, ("127.0.0.1", PORT)),
    listen(socket.AF_INET6, ("::1", PORT)),
    listen(socket.AF_UNIX, UNIX),
])
