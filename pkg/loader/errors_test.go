// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The verifier refuses with the same number as a missing privilege, but says why.
func TestLoadErrorTellsRefusals(t *testing.T) {
	words := []string{"0: R1=ctx()", "R6 invalid mem access 'scalar'"}
	for _, tt := range []struct {
		name       string
		cause      error
		log        []string
		permission bool
		want       string
	}{
		{"refused by the verifier", unix.EACCES, words, false, "verifier refused them"},
		{"refused for another reason", unix.EINVAL, words, false, "verifier refused them"},
		{"too large for it", unix.E2BIG, words, false, "verifier refused them"},
		{"good, and no descriptor for it", unix.EMFILE, words, false, "too many open files: raise the limit"},
		{"good, and no memory for it", unix.ENOMEM, words, false, "cannot allocate memory: raise the memory limit"},
		{"not allowed", unix.EPERM, nil, true, "CAP_BPF"},
		{"no such call", unix.ENOSYS, nil, false, "seccomp filter"},
		{"not allowed by a policy", unix.EACCES, nil, true, "CAP_BPF"},
		{"not allowed, with a log", unix.EPERM, words, true, "CAP_BPF"},
	} {
		err := error(&loadError{source: SourceSocket, err: &ebpf.VerifierError{Cause: tt.cause, Log: tt.log}})
		if got := errors.Is(err, ErrPermission); got != tt.permission {
			t.Errorf("%s: is a missing privilege: %v, want %v", tt.name, got, tt.permission)
		}
		if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), words[1]) {
			t.Errorf("%s: %q, want %q in it", tt.name, err, tt.want)
		}
	}
}
