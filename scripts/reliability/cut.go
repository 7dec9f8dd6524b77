// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"probe/pkg/export"
)

// The network of the experiment: a namespace behind a pair of interfaces, with
// addresses of the range for measurements (RFC 2544).
const (
	hostCIDR = "198.18.77.1/30"
	peerCIDR = "198.18.77.2/30"
	peerHost = "198.18.77.2"
	cutQueue = 1 << 20
	// longCut is longer than the time limit of a connection.
	longCut   = 40 * time.Second
	beforeCut = 200 * time.Millisecond
)

// network is the namespace of this process, with its two interfaces.
type network struct{ netns, host, peer string }

func newNetwork() (network, error) {
	n := network{fmt.Sprint("probe-rel-", os.Getpid()), fmt.Sprint("prh", os.Getpid()), fmt.Sprint("prp", os.Getpid())}
	return n, ip(fmt.Sprintf(`
		netns add %[1]s
		link add %[2]s type veth peer name %[3]s netns %[1]s
		addr add %[4]s dev %[2]s
		link set %[2]s up
		-n %[1]s addr add %[5]s dev %[3]s
		-n %[1]s link set %[3]s up`, n.netns, n.host, n.peer, hostCIDR, peerCIDR))
}

func (n network) set(state string) error {
	return ip(fmt.Sprintf("-n %s link set %s %s", n.netns, n.peer, state))
}

func (n network) remove() error { return ip("netns del " + n.netns) }

// ip runs commands of ip(8), separated by newlines.
func ip(commands string) error {
	for line := range strings.Lines(commands) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.TrimSpace(line), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// cutNetwork takes the receiver's interface down in the middle of the lines.
func cutNetwork(s settings, r *report) (err error) {
	n, err := newNetwork()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.remove()) }()
	for _, cut := range s.cuts {
		one, err := underCut(s, n, cut, 0)
		if err != nil {
			return err
		}
		one.name, one.must = fmt.Sprintf("network cut for %v", cut), true
		r.add(one)
	}
	one, err := underCut(s, n, s.cuts[0], cutQueue)
	if err != nil {
		return err
	}
	one.name = fmt.Sprintf("network cut for %v, queue of 1 MiB", s.cuts[0])
	r.add(one)
	return nil
}

func underCut(s settings, n network, cut time.Duration, queue int) (row, error) {
	target := export.Target{Scheme: export.TCP, Host: peerHost, Port: 8125}
	inside := []string{"ip", "netns", "exec", n.netns}
	x, err := newExporterSink(export.Options{Target: target, QueueBytes: queue, Timeout: 10 * time.Millisecond})
	if err != nil {
		return row{}, err
	}
	first, err := startReceiver(target, fast, inside...)
	if err != nil {
		return row{}, err
	}
	half := s.lines / 2
	sendErr := sendAll(x, 1, half)
	time.Sleep(beforeCut)
	if err := n.set("down"); err != nil {
		return row{}, err
	}
	start := time.Now()
	sendErr = errors.Join(sendErr, sendAll(x, half+1, s.lines))
	time.Sleep(time.Until(start.Add(cut)))
	if err := n.set("up"); err != nil {
		return row{}, err
	}
	var got [][]byte
	if x.Counters().Reconnects == 0 {
		err = errors.Join(sendErr, x.close())
		got = append(got, first.wait())
	} else { // the first receiver has had its connection, and does not know that it is over
		second, startErr := startReceiver(target, fast, inside...)
		if startErr != nil {
			return row{}, startErr
		}
		err = errors.Join(sendErr, x.close())
		got = append(got, first.kill(), second.wait())
	}
	c := x.Counters()
	return row{
		lines: s.lines, tally: count(got, s.lines), connections: c.Reconnects, counters: c,
		allowTwice: int(c.Reconnects) * 2 * segment / lineBytes,
	}, err
}

func sendAll(to sink, first, last int) error {
	for ; first <= last; first += batch {
		if err := to.send(first, min(batch, last-first+1)); err != nil {
			return err
		}
	}
	return nil
}
