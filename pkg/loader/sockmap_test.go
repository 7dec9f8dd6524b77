// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// sockmapScenarios: what a program on a map of sockets hands from one socket of this
// host to the other, as service meshes do, goes past TCP and its numbers.
func sockmapScenarios() []scenario {
	return []scenario{{"past TCP", func(s *stage) {
		client, server := s.tcp()
		client.exchange(get(s.target), answerOf(200, "by TCP"))
		client.both("GET", 200)
		defer server.redirect(client)()
		defer client.redirect(server)()
		for _, status := range []int{200, 404, 201} {
			client.exchange(get(s.target), answerOf(status, repeated(3000)))
			client.both("GET", status)
		}
	}}}
}

// redirect lets what e sends go to the socket of to, until the function that it
// returns is called.
func (e *end) redirect(to *end) func() {
	from, target := newSockmap(), newSockmap()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SkMsg, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMapPtr(asm.R2, target.FD()), // R1 is the message
			asm.Mov.Imm(asm.R3, 0),
			asm.Mov.Imm(asm.R4, 1), // BPF_F_INGRESS
			asm.FnMsgRedirectMap.Call(),
			asm.Return(),
		},
	})
	must("load program for messages", err)
	must("attach it", link.RawAttachProgram(link.RawAttachProgramOptions{Target: from.FD(), Program: p, Attach: ebpf.AttachSkMsgVerdict}))
	must("put the target into its map", target.Put(uint32(0), uint32(to.fd)))
	must("put the sender into its map", from.Put(uint32(0), uint32(e.fd)))
	return func() { must("end redirection", errors.Join(from.Close(), target.Close(), p.Close())) }
}

func newSockmap() *ebpf.Map {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	must("make map of sockets", err)
	return m
}
