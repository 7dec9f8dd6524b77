// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"testing"
	"time"

	"probe/pkg/events"
	"probe/pkg/loader"
)

// olderScenarios are on connections in use when the probe comes.
func olderScenarios() []scenario {
	return []scenario{
		{"peeked at, older than the probe", peekedBefore},
		{"first answer, asked for before the probe", firstAnswer},
		{"cut, older than the probe", func(s *stage) {
			client, server := s.old[0], s.old[1]
			target := s.target
			for _, piece := range []string{"P", "OST " + target + " HTTP/1.1\r\nContent-Length: 0\r\n\r\n"} {
				client.write(piece)
				server.read()
			}
			client.toldSent, client.toldGot = client.sent, client.got
			server.toldSent, server.toldGot = server.sent, server.got
			s.target = ""
			server.write(answerOf(200, "old"))
			client.read()
			client.both("", 200)
			s.target = target
			client.exchange("POST "+s.target+" HTTP/1.1\r\nContent-Length: 0\r\n\r\n", answerOf(201, "new"))
			client.both("POST", 201)
		}},
	}
}

// firstAnswer is the first answer of a connection, read byte by byte: its H begins no
// request that a server has received.
func firstAnswer(s *stage) {
	client, server := s.first[0], s.first[1]
	server.bytewise(answerOf(200, "old"))
	client.toldSent, client.toldGot = client.sent, client.got
	client.exchange(get(s.target), answerOf(404, "new"))
	client.tells("GET", 404, "ok")
}

func TestFirstAnswerIsNoRequest(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Client: true, Comms: []string{player.comm}})
		want := player.play(order{Scenario: "first answer, asked for before the probe"})
		compareExchanges(t, want, obs.await(1))
	})
}

// peekedBefore is a long body that is looked at before it is read, while nobody
// knows what it is, and a request a while later, of which the times are told.
func peekedBefore(s *stage) {
	client, server := s.old[0], s.old[1]
	for range 8 {
		client.write(words(100))
		server.peek()
		server.read()
	}
	server.write(answerOf(200, "old"))
	client.read()
	time.Sleep(50 * time.Millisecond)
	var m moments
	m.Sent = during(func() { client.write(get(s.target)) })
	m.Read = during(server.read)
	server.write(answerOf(404, "new"))
	client.read()
	s.times = append(s.times, m)
}

func TestPeekedBeforeItIsKnown(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Server: true, Comms: []string{player.comm}})
		player.begin(order{Scenario: "peeked at, older than the probe"})
		m := player.report().Times[0]
		obs.pollFor(2)
		if len(obs.requests) != 2 || obs.seen[1].Status != 404 {
			t.Fatalf("exchanges: %+v", obs.seen)
		}
		if obs.requests[1].Flags&events.FlagTimeUncertain == 0 {
			expectIn(t, "start", obs.requests[1].StartNS, m.Sent)
		}
	})
}

// The first letter of a method was read by a call of its own, before anything was known
// of the connection: the rest is no method.
func TestMethodCutByTheStart(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Server: true, Client: true, Comms: []string{player.comm}})
		want := sorted(player.play(order{Scenario: "cut, older than the probe"}))
		compareExchanges(t, want, obs.await(len(want)))
	})
}

// A head in several messages of one call, of which the system-call source sees the first,
// is not continued by what the next call moves.
func TestHeadInMessages(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Server: true, Comms: []string{player.comm}})
		want := player.play(order{Scenario: "head in messages of one call"})[0]
		obs.poll()
		if len(obs.seen) != 1 {
			t.Fatalf("exchanges: %+v", obs.seen)
		}
		got := obs.seen[0]
		got.TID = anyThread
		if got != want && (source == loader.SourceSocket || obs.requests[0].Flags&events.FlagTargetCut == 0) {
			t.Errorf("got %+v, not marked, want %+v", got, want)
		}
	})
}

// headInMessages is a head of which one call reads the first ten bytes, into two buffers.
func headInMessages(s *stage) {
	client, server := s.tcp()
	client.write(get(s.target)[:10])
	server.recvBy(calls()[4], 1)
	client.write(get(s.target)[10:])
	server.read()
	server.write(answerOf(200, "whole"))
	client.read()
	server.tells("GET", 200, "ok")
}
