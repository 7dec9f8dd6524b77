// SPDX-License-Identifier: Apache-2.0

// Command compat makes one HTTP exchange with itself. The test builds it as a
// 32-bit program.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	if len(os.Args) > 1 {
		return // -check: it runs at all
	}
	if err := exchange(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func exchange() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	server, err := listener.Accept()
	if err != nil {
		return err
	}
	for _, step := range []struct {
		from, to net.Conn
		text     string
	}{
		{client, server, "GET /32 HTTP/1.1\r\n\r\n"},
		{server, client, "HTTP/1.1 204 No Content\r\n\r\n"},
	} {
		if _, err := io.WriteString(step.from, step.text); err != nil {
			return err
		}
		if _, err := io.ReadFull(step.to, make([]byte, len(step.text))); err != nil {
			return err
		}
	}
	return nil
}
