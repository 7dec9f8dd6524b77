// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// peer has many connections to itself, both ends, without a goroutine or a
// buffer for any of them. It takes orders from its standard input, one a line:
//
//	open N     N more connections, which stay idle
//	ask        one request over each connection that has had none
//	again      one more over each
//	routes N   N requests for as many different paths of its own, over one connection
//
// and says "done" after each.
type peer struct {
	listener int // 0: none yet
	links    []link
	asked    int // of the links
	routes   int // asked for
	buf      [4096]byte
}

// link is one connection.
type link struct{ client, server int }

func servePeer(limit string) error {
	files, err := number(limit)
	if err != nil {
		return err
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(files), Max: uint64(files)}); err != nil {
		return fmt.Errorf("set the limit of open files to %d: %w", files, err)
	}
	p := &peer{}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		order, count, _ := strings.Cut(orders.Text(), " ")
		n := 0
		if count != "" {
			if n, err = number(count); err != nil {
				return err
			}
		}
		if err := p.obey(order, n); err != nil {
			return fmt.Errorf("%s: %w", orders.Text(), err)
		}
		fmt.Println("done")
	}
	return orders.Err()
}

func (p *peer) obey(order string, n int) error {
	switch order {
	case "open":
		return p.open(n)
	case "ask":
		from := p.asked
		p.asked = len(p.links)
		return p.askAll(p.links[from:])
	case "again":
		return p.askAll(p.links[:p.asked])
	case "routes":
		for range n {
			// A hundred words below each of a hundred.
			target := fmt.Sprintf("/soak-routes/%s/%s", word(p.routes/100), word(p.routes%100))
			p.routes++
			if err := p.ask(p.links[0], target); err != nil {
				return err
			}
		}
		return nil
	}
	return errors.New("unknown order")
}

// word is a different one for each number, and no identifier to probe.
func word(n int) string {
	const consonants, vowels = "bdfgklmnprst", "aeiou"
	text := []byte("x")
	for range 3 {
		text = append(text, consonants[n%len(consonants)])
		n /= len(consonants)
		text = append(text, vowels[n%len(vowels)])
		n /= len(vowels)
	}
	return string(text)
}

// open makes connections to a port of its own.
func (p *peer) open(n int) (err error) {
	if p.listener == 0 {
		if p.listener, err = listen(); err != nil {
			return err
		}
	}
	for range n {
		one, err := connect(p.listener)
		if err != nil {
			return err
		}
		p.links = append(p.links, one)
	}
	return nil
}

func listen() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	return fd, unix.Listen(fd, 128)
}

func connect(listener int) (link, error) {
	to, err := unix.Getsockname(listener)
	if err != nil {
		return link{}, err
	}
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return link{}, err
	}
	if err := unix.Connect(client, to); err != nil {
		return link{}, err
	}
	server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	return link{client, server}, err
}

func (p *peer) askAll(links []link) error {
	for i, one := range links {
		if err := p.ask(one, fmt.Sprintf("/soak-scale/%d", i)); err != nil {
			return err
		}
	}
	return nil
}

// ask makes one request and answers it.
func (p *peer) ask(one link, target string) error {
	const answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
	request := fmt.Appendf(p.buf[:0], "GET %s HTTP/1.1\r\nHost: soak\r\n\r\n", target)
	for _, step := range []struct {
		from, to int
		text     []byte
	}{{one.client, one.server, request}, {one.server, one.client, []byte(answer)}} {
		if n, err := unix.Write(step.from, step.text); err != nil || n != len(step.text) {
			return fmt.Errorf("write %d of %d bytes: %w", n, len(step.text), err)
		}
		var room [512]byte
		if n, err := unix.Read(step.to, room[:]); err != nil || n != len(step.text) {
			return fmt.Errorf("read %d of %d bytes: %w", n, len(step.text), err)
		}
	}
	return nil
}
