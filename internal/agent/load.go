// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"io"
	"os"
	"runtime/debug"
	"time"

	"probe/internal/exchange"
	"probe/pkg/loader"
)

// loadingIsSlow is when the log says what the start waits for.
const loadingIsSlow = 5 * time.Second

func (a *Agent) load(ctx context.Context) error {
	tuneGC(os.Getenv)
	lo, err := a.opt.loaderOptions()
	if err != nil {
		return err
	}
	for _, low := range lowLimits(limits()) {
		a.log.Warn(low)
	}
	slow := time.AfterFunc(loadingIsSlow, func() {
		a.log.Info("the kernel still verifies the programs: it needs a second of CPU, and this process gets little")
	})
	defer slow.Stop()
	a.kernel, err = loadUntil(ctx, func() (*loader.Loader, error) { return loader.Load(lo) })
	if err != nil {
		if log := loader.VerifierLog(err); log != "" {
			a.log.Debug("the kernel's verifier said", "log", log)
		}
		return err
	}
	// What reading the kernel's type information took is most of the heap so far.
	debug.FreeOSMemory()
	a.delays.kernel = a.kernel
	if detail, _ := a.kernel.Detail(); detail == loader.DetailOff {
		a.newTracker(detail) // the kernel may have less than was asked for
	}
	close(a.attached)
	return nil
}

// loadUntil returns when ctx ends, too: the kernel may take seconds to verify
// programs, and cannot be asked to stop. What it had loaded by then is closed, or
// freed by the end of the process.
func loadUntil[T io.Closer](ctx context.Context, load func() (T, error)) (loaded T, err error) {
	type result struct {
		loaded T
		err    error
	}
	if ctx.Err() != nil {
		return loaded, ctx.Err()
	}
	done := make(chan result, 1)
	go func() {
		loaded, err := load()
		done <- result{loaded, err}
	}()
	select {
	case r := <-done:
		return r.loaded, r.err
	case <-ctx.Done():
	}
	go func() {
		if r := <-done; r.err == nil {
			_ = r.loaded.Close() // nobody is left to be told
		}
	}()
	return loaded, ctx.Err()
}

// newTracker makes one that expects what this detail tells of each request.
func (a *Agent) newTracker(detail loader.Detail) {
	a.tracker = exchange.New(exchange.Options{Times: detail != loader.DetailOff}, a.nameRequest)
}
