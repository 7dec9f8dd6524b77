// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"strings"
	"testing"

	"probe/internal/testutil"
)

// Every hook that can be attached is among the features, with its text.
func TestFeaturesNameEveryHook(t *testing.T) {
	all := map[string]Feature{}
	features, err := Features()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range features {
		if f.Since == "" || f.Without == "" {
			t.Errorf("%s: nothing said about it", f.Name)
		}
		all[f.Name] = f
	}
	for _, h := range detailHooks {
		if f, listed := all["hook."+h.tracepoint]; !listed || f.Need != Optional {
			t.Errorf("%s: %+v, want it optional", h.tracepoint, f)
		}
	}
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range spec.Programs {
		if program.AttachTo == "" || strings.HasSuffix(name, "_sweep") || name == tasksProgram {
			continue
		}
		if _, listed := all["hook."+program.AttachTo]; !listed {
			t.Errorf("program %s hooks %s, which is no feature", name, program.AttachTo)
		}
	}
}

// What is said to be there is what Load finds.
func TestFeaturesAgreeWithLoad(t *testing.T) {
	testutil.RequireBPF(t, "5.11", "task storage")
	features, err := Features()
	if err != nil {
		t.Fatal(err)
	}
	present := map[string]bool{}
	for _, f := range features {
		present[f.Name] = f.Present
		if f.Need == Required && !f.Present {
			t.Errorf("%s: not there, but this kernel is new enough", f.Name)
		}
	}
	l, err := Load(Options{Detail: DetailFull})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, want := l.Source() == SourceSocket, present["hook.sock_send_length"] && present["hook.sock_recv_length"]; got != want {
		t.Errorf("source %s, but the hooks of the socket source are there: %v", l.Source(), want)
	}
	_, missing := l.Detail()
	for _, h := range detailHooks {
		refused := strings.Contains(strings.Join(missing, ","), "tracepoint "+h.tracepoint)
		if present["hook."+h.tracepoint] == refused {
			t.Errorf("%s: a feature %v, missing from the detail %v", h.tracepoint, present["hook."+h.tracepoint], refused)
		}
	}
}
