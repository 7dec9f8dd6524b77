<?php
// SPDX-License-Identifier: Apache-2.0
foreach (array_slice($argv, 2) as $step) {
    [$method, $target, $body] = explode(' ', $step);
    $options = ['method' => $method, 'protocol_version' => '1.1', 'header' => "Connection: close\r\n", 'ignore_errors' => true];
    if ($body !== '-') {
        $options['header'] .= "Content-Type: text/plain\r\n";
        $options['content'] = str_repeat('p', (int) $body);
    }
    file_get_contents($argv[1] . $target, false, stream_context_create(['http' => $options]));
}
