// SPDX-License-Identifier: Apache-2.0

// Package tests holds the tests of the kernel side's own logic: its headers,
// compiled into programs that run on demand instead of at a hook. They need
// root and kernel 5.14.
package tests

// The objects are committed, so that testing needs only Go. `make generate`
// sets BPF2GO_CC, BPF2GO_STRIP and BPF2GO_CFLAGS to the pinned tools.
//go:generate go tool bpf2go -target amd64,arm64 -type classify_ctx -type ends_head_ctx -type gather_ctx -type call_ctx -type advance_ctx -type number_ctx -type delay_ctx -type lead_ctx -type wait_ctx -type skb_ctx -type words_ctx -type probe_part -type call_kind -type conn_phase -type conn_family -type direction -type probe_role -type unit_limit -type probe_count -type probe_has unit unit.bpf.c
