// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCallNumbers(t *testing.T) {
	u := newUnit(t, unitProgUnitNumber, 512)
	tests := []struct {
		nr   uint64
		kind unitCallKind
		send bool
	}{
		{unix.SYS_READ, unitCallKindCALL_BUF, false}, {unix.SYS_WRITE, unitCallKindCALL_BUF, true},
		{unix.SYS_RECVFROM, unitCallKindCALL_BUF, false}, {unix.SYS_SENDTO, unitCallKindCALL_BUF, true},
		{unix.SYS_READV, unitCallKindCALL_IOV, false}, {unix.SYS_WRITEV, unitCallKindCALL_IOV, true},
		{unix.SYS_PREADV2, unitCallKindCALL_IOV, false}, {unix.SYS_PWRITEV2, unitCallKindCALL_IOV, true},
		{unix.SYS_RECVMSG, unitCallKindCALL_MSG, false}, {unix.SYS_SENDMSG, unitCallKindCALL_MSG, true},
		{unix.SYS_RECVMMSG, unitCallKindCALL_MMSG, false}, {unix.SYS_SENDMMSG, unitCallKindCALL_MMSG, true},
		{unix.SYS_SENDFILE, unitCallKindCALL_FILE, true}, {unix.SYS_SPLICE, unitCallKindCALL_FILE, true},
		{unix.SYS_ACCEPT, unitCallKindCALL_ACCEPT, false}, {unix.SYS_ACCEPT4, unitCallKindCALL_ACCEPT, false},
		{unix.SYS_IO_URING_ENTER, unitCallKindCALL_URING, false},
		{unix.SYS_CLOSE, unitCallKindCALL_OTHER, false}, {unix.SYS_FUTEX, unitCallKindCALL_OTHER, false},
		{unix.SYS_PREAD64, unitCallKindCALL_OTHER, false}, {^uint64(0), unitCallKindCALL_OTHER, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.nr), func(t *testing.T) {
			ctx := unitNumberCtx{Nr: tt.nr}
			run(t, u, &ctx)
			if got := unitCallKind(ctx.Kind); got != tt.kind || (ctx.Send != 0) != tt.send {
				t.Errorf("call %d: kind %d, send %d; want %d, %v", tt.nr, got, ctx.Send, tt.kind, tt.send)
			}
		})
	}
}

// The flags of a receive stand in another argument of each call.
func TestCallFlags(t *testing.T) {
	u := newUnit(t, unitProgUnitNumber, 512)
	for _, tt := range []struct {
		ctx  unitNumberCtx
		want uint32
	}{
		{unitNumberCtx{Nr: unix.SYS_RECVFROM, Arg2: 1, Arg3: unix.MSG_PEEK | unix.MSG_DONTWAIT}, unix.MSG_PEEK | unix.MSG_DONTWAIT},
		{unitNumberCtx{Nr: unix.SYS_RECVMMSG, Arg2: 1, Arg3: unix.MSG_TRUNC}, unix.MSG_TRUNC},
		{unitNumberCtx{Nr: unix.SYS_RECVMSG, Arg2: unix.MSG_ERRQUEUE, Arg3: 1}, unix.MSG_ERRQUEUE},
		{unitNumberCtx{Nr: unix.SYS_READ, Arg2: 2, Arg3: 2}, 0},
		{unitNumberCtx{Nr: unix.SYS_READV, Arg2: 2, Arg3: 2}, 0},
		{unitNumberCtx{Nr: unix.SYS_SENDTO, Arg2: 2, Arg3: 2}, 0},
	} {
		run(t, u, &tt.ctx)
		if tt.ctx.Flags != tt.want {
			t.Errorf("call %d: flags %#x, want %#x", tt.ctx.Nr, tt.ctx.Flags, tt.want)
		}
	}
}

func TestMessageBytes(t *testing.T) {
	u := newUnit(t, unitProgUnitNumber, 512)
	m := newMemory(t)
	array := m.headers(3, "GET /a ", "HTTP/1.1\r\n", "\r\n", "not moved")
	for messages, want := range map[uint32]uint32{0: 0, 1: 7, 2: 17, 3: 19} {
		ctx := unitNumberCtx{Nr: unix.SYS_SENDMMSG, Arg1: array, Messages: messages}
		run(t, u, &ctx)
		if ctx.Bytes != want {
			t.Errorf("%d messages: %d bytes, want %d", messages, ctx.Bytes, want)
		}
	}
}
