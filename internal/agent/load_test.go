// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"testing"
)

// closed notes that it was closed.
type closed chan struct{}

func (c closed) Close() error {
	close(c)
	return nil
}

// Told to end while the kernel still verifies, the agent does not wait for that, and
// what comes of it is closed.
func TestLoadEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	loading, verified, loaded := make(chan struct{}), make(chan struct{}), make(closed)
	go func() {
		<-loading
		cancel()
	}()
	got, err := loadUntil(ctx, func() (closed, error) {
		close(loading)
		<-verified
		return loaded, nil
	})
	if got != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("loaded %v, %v; want %v", got, err, context.Canceled)
	}
	close(verified)
	<-loaded
}

func TestLoadUntil(t *testing.T) {
	refused := errors.New("refused")
	want := make(closed)
	for _, wantErr := range []error{nil, refused} {
		got, err := loadUntil(t.Context(), func() (closed, error) { return want, wantErr })
		if got != want || err != wantErr {
			t.Errorf("loaded %v, %v; want %v, %v", got, err, want, wantErr)
		}
	}
}
