// SPDX-License-Identifier: Apache-2.0

package loader

// The objects are committed, so that building needs only Go. `make generate`
// sets BPF2GO_CC, BPF2GO_STRIP and BPF2GO_CFLAGS to the pinned tools.
//go:generate go tool bpf2go -target amd64,arm64 -type probe_record -type probe_conn -type probe_count -type probe_has -type probe_times -type probe_part -type probe_attribution -type probe_detail bpf ../../bpf/http.bpf.c
