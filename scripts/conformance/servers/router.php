<?php
// SPDX-License-Identifier: Apache-2.0
$path = preg_replace('#^http://[^/]*#', '', explode('?', $_SERVER['REQUEST_URI'])[0]);

function pieces(int $count, int $delay_us, string $text): void
{
    for ($i = 0; $i < $count; $i++) {
        if ($i > 0 && $delay_us > 0) {
            usleep($delay_us);
        }
        echo $text;
        flush();
    }
}

register_shutdown_function(function () {
    $line = "conf|" . http_response_code() . "|-|-|-|{$_SERVER['REQUEST_METHOD']} {$_SERVER['REQUEST_URI']} HTTP/1.1\n";
    file_put_contents(getenv('CONF_LOG'), $line, FILE_APPEND | LOCK_EX);
});
header('Content-Type: text/plain');
if ($path === '/hello') {
    header('Content-Length: 6');
    echo "hello\n";
} elseif (preg_match('#^/status/(\d+)#', $path, $m)) {
    http_response_code((int) $m[1]);
    if ($m[1] !== '204' && $m[1] !== '304') {
        echo "status\n";
    }
} elseif ($path === '/post') {
    echo strlen(file_get_contents('php://input')), "\n";
} elseif ($path === '/big') {
    header('Content-Length: ' . filesize(getenv('CONF_ROOT') . '/big'));
    readfile(getenv('CONF_ROOT') . '/big');
} elseif ($path === '/chunked') {
    pieces(5, 0, 'xxxxxxx');
} elseif ($path === '/stream') {
    pieces(10, 50000, str_repeat('s', 1000));
} elseif (preg_match('#^/sleep/(\d+)#', $path, $m)) {
    usleep(1000 * (int) $m[1]);
    echo "slept\n";
} else {
    http_response_code(404);
    echo "no such path\n";
}
