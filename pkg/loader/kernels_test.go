// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// kernelWith is the type information of a kernel that has no more than this.
func kernelWith(t *testing.T, threads, helper, kfunc bool, tracepoints ...string) *btf.Spec {
	t.Helper()
	number := &btf.Int{Name: "int", Size: 4}
	task := &btf.Struct{Name: "task_struct", Size: 16, Members: []btf.Member{{Name: "pid", Type: number}}}
	if threads {
		task.Members = append(task.Members, btf.Member{Name: "bpf_storage", Type: &btf.Pointer{Target: &btf.Void{}}, Offset: 64})
	}
	ids := &btf.Enum{Name: "bpf_func_id", Size: 4, Values: []btf.EnumValue{{Name: "BPF_FUNC_unspec"}}}
	if helper {
		ids.Values = append(ids.Values, btf.EnumValue{Name: "BPF_FUNC_task_pt_regs", Value: 175})
	}
	types := []btf.Type{task, ids}
	if kfunc {
		types = append(types, &btf.Func{Name: "bpf_task_from_pid", Type: &btf.FuncProto{Return: &btf.Void{}}, Linkage: btf.StaticFunc})
	}
	for _, name := range tracepoints {
		types = append(types, &btf.Typedef{Name: "btf_trace_" + name, Type: &btf.Pointer{Target: &btf.Void{}}})
	}
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.NativeEndian})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func allTracepoints() []string {
	var all []string
	for _, h := range detailHooks {
		all = append(all, h.tracepoint)
	}
	return all
}

func TestPossibleDetail(t *testing.T) {
	all := allTracepoints()
	for _, tt := range []struct {
		name     string
		kernel   *btf.Spec
		want     Detail
		got      Detail
		programs int
		missing  string // part of what is named; "" for nothing
	}{
		{"all of it", kernelWith(t, true, true, true, all...), DetailFull, DetailFull, len(all), ""},
		{"basic needs one hook", kernelWith(t, true, true, true, all...), DetailBasic, DetailBasic, 1, ""},
		{"off needs nothing", kernelWith(t, false, false, false), DetailOff, DetailOff, 0, ""},
		{"before 5.13", kernelWith(t, false, false, false, all...), DetailFull, DetailOff, 0, "task storage"},
		{"basic before 5.13", kernelWith(t, false, false, false, all...), DetailBasic, DetailOff, 0, "task storage"},
		{"before 5.15", kernelWith(t, true, false, false, all...), DetailFull, DetailBasic, 1, "bpf_task_pt_regs"},
		{"before 6.2", kernelWith(t, true, true, false, all...), DetailFull, DetailFull, len(all), "bpf_task_from_pid"},
		{"without compaction", kernelWith(t, true, true, true, all[:len(all)-2]...), DetailFull, DetailFull, len(all) - 2, "mm_compaction_begin"},
	} {
		got, programs, missing := possibleDetail(tt.want, tt.kernel)
		if got != tt.got || len(programs) != tt.programs {
			t.Errorf("%s: detail %s, programs %v", tt.name, got, programs)
		}
		named := slices.ContainsFunc(missing, func(m string) bool { return strings.Contains(m, tt.missing) })
		if (tt.missing != "") != (len(missing) > 0) || (tt.missing != "" && !named) {
			t.Errorf("%s: missing %q, want %q", tt.name, missing, tt.missing)
		}
	}
}
