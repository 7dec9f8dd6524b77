// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"probe/internal/testutil"
)

// A thread that takes one request after the other from a queue was woken for one of
// them: what it did for those before is not the time of that one.
func TestQueuedRequests(t *testing.T) {
	testutil.RequireBPF(t, "6.2", "bpf_task_from_pid")
	in := startC(t, "queue")
	p := startProbe(t, "--port", strconv.Itoa(in.port))
	const rounds = 10
	clients := [2]http.Client{{Transport: &http.Transport{}}, {Transport: &http.Transport{}}}
	for k := range rounds {
		var both sync.WaitGroup
		for i := range clients {
			both.Go(func() {
				r, err := clients[i].Get(fmt.Sprintf("http://%s/?n=%d-%d", in.address(), i, k))
				if err != nil {
					t.Error(err)
					return
				}
				_ = r.Body.Close()
			})
		}
		both.Wait()
	}
	seen, wrong := lines(t, p), 0
	if len(seen) != 2*rounds {
		t.Errorf("%d requests seen, want %d", len(seen), 2*rounds)
	}
	for target, l := range seen {
		if got := l.Wait.Blocked.Sleep; got > l.served()*3/4 && l.Duration > workTime*3/5 {
			t.Logf("%s: %s, %v of %v are sleep", target, l.Attribution, got, l.Duration)
			wrong++
		}
	}
	// Each had 20 ms, the second one of a round after as long a wait.
	if wrong > 1 {
		t.Errorf("%d of %d requests have another one's time", wrong, len(seen))
	}
}
