# SPDX-License-Identifier: Apache-2.0
import http.client
import sys
from urllib.parse import urlsplit

connection = http.client.HTTPConnection(urlsplit(sys.argv[1]).netloc)
for step in sys.argv[2:]:
    method, target, body = step.split()
    if body == "-":
        connection.request(method, target)
    elif body.startswith("chunked:"):
        n = int(body[8:])
        connection.request(method, target, body=iter([b"p" * (n // 2), b"q" * (n - n // 2)]), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
    else:
        connection.request(method, target, body=b"p" * int(body))
    response = connection.getresponse()
    response.read()
