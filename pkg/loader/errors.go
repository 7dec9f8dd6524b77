// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// loadError is short by itself; the verifier's words are behind VerifierLog.
type loadError struct {
	source Source
	err    error
}

func (e *loadError) Error() string {
	if e.refused() {
		return fmt.Sprintf("cannot load http programs (%s source): the kernel's verifier refused them; report this with the output of --log-level debug", e.source)
	}
	return fmt.Sprintf("cannot load http programs (%s source): %v", e.source, explain(e.err))
}

func (e *loadError) Unwrap() error {
	if e.refused() {
		return e.err
	}
	return errors.Join(explain(e.err), e.err)
}

// refused: by the verifier, which says why and often answers with EACCES. Where
// privileges are missing it is not asked, or answers with EPERM; what was good and
// then had no room has a log as well.
func (e *loadError) refused() bool {
	var ve *ebpf.VerifierError
	if !errors.As(e.err, &ve) || len(ve.Log) == 0 {
		return false
	}
	for _, other := range []error{unix.EPERM, unix.EMFILE, unix.ENFILE, unix.ENOMEM} {
		if errors.Is(e.err, other) {
			return false
		}
	}
	return true
}

// VerifierLog returns the verifier's log behind an error of Load, or "".
func VerifierLog(err error) string {
	var ve *ebpf.VerifierError
	if errors.As(err, &ve) {
		return fmt.Sprintf("%+v", ve)
	}
	return ""
}
