// SPDX-License-Identifier: Apache-2.0

package export

import "context"

// transport sends payloads and keeps the books of what it sent and of its
// errors; the sender counts the lines of payloads that it refused.
type transport interface {
	// begin gets ready for the payloads of one Export, within ctx. After an
	// error send must not be called until the next begin.
	begin(ctx context.Context) error
	// send sends or queues one payload of so many lines, or returns why it is
	// lost; ctx is that of begin. An error that wraps errDown means that the
	// next ones would be lost as well.
	send(ctx context.Context, payload []byte, lines int) error
	// end follows each begin, successful or not. Its error is what there is to
	// say about lines that send took.
	end() error
	// close delivers what is queued, within ctx.
	close(ctx context.Context) error
}

// newTransport returns the transport of opt.Target.
func newTransport(opt Options, c *counters) (transport, error) {
	switch opt.Target.Scheme {
	case UDP:
		return newUDP(opt, c), nil
	case Unixgram:
		return newUnixgram(opt, c), nil
	case TCP, Unix, UnixDD:
		return newStream(opt, c)
	case File:
		return newFile(opt.Target.Path, c)
	}
	return &writer{to: opt.Stdout, counters: c}, nil
}
