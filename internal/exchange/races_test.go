// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"probe/internal/exchange"
)

// raced is one request and its answer, where a call is seen when it returns: a second
// thread, or the peer, may have gone on before that. It returns the last call of the
// answer, if the next request may be read before that returns. Pieces so short that
// nobody knows what they begin or end are not raced.
func (d *dialog) raced(pending string) string {
	m, r := d.request(true), d.response(message{}, false)
	for strings.HasPrefix(r.head, "HTTP/1.1 10") {
		r.head = r.head[strings.Index(r.head, "\r\n\r\n")+4:]
	}
	if strings.HasPrefix(m.head, "HEAD ") {
		r.rest = ""
	}
	d.expect(m, r, "ok")
	sent, answered := d.split(m.text(), 1), d.split(r.text(), 7)
	if n := len(sent) - 1; n > 0 && len(sent[n]) < simSure {
		sent = []string{m.text()}
	}
	early := 0
	switch {
	case d.client && len(sent) == 1 && d.chance("reads early", 50):
		early = d.number("early", 1, len(answered))
		d.steps = append(d.steps, sending(sent[0]))
		d.move(false, answered[:early])
	case pending != "":
		n := d.number("early", 0, 1)
		d.steps = append(d.steps, sending(pending))
		d.move(true, sent[:n])
		d.move(false, []string{pending})
		sent = sent[n:]
	}
	d.move(true, sent)
	answered = answered[early:]
	if last := len(answered) - 1; !d.client && d.chance("returns late", 50) {
		d.move(false, answered[:last])
		return answered[last]
	}
	d.move(false, answered)
	return ""
}

// Whatever is seen before the call that came first has returned, nothing wrong is told
// as certain, and nothing is lost.
func TestAnyRace(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := &dialog{T: rt, openEnd: map[int]bool{}}
		d.capture = d.number("capture", 64, 512)
		d.client = d.chance("client", 30)
		pending := ""
		for range d.number("exchanges", 2, 6) {
			pending = d.raced(pending)
		}
		if pending != "" {
			d.move(false, []string{pending})
		}
		d.steps = append(d.steps, end())
		w, kernel := watch(rt, exchange.Options{}), d.play()
		w.batch(kernel.records...)
		w.checkKernel(kernel)
		d.checkCertain(w.seen)
		if len(w.seen) < len(d.want) {
			rt.Fatalf("lost: truth: %+v\ngot: %+v", d.want, w.seen)
		}
	})
}
