// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
)

// containers remembers the names of containers, and for retryAfter that one has
// none. Safe for concurrent use; files are read outside the lock.
type containers struct {
	files   hostFiles
	kubelet *Kubelet

	mu    sync.Mutex
	known map[string]remembered

	read, nameless, failed, evicted atomic.Uint64
}

type remembered struct {
	details *details // nil: nobody knows its names
	atNS    uint64
}

func newContainers(files hostFiles, kubelet *Kubelet) *containers {
	return &containers{files: files, kubelet: kubelet, known: make(map[string]remembered)}
}

// get returns what is remembered, and whether the container was looked up: nil
// and true where it has no names. It never waits for a file.
func (c *containers) get(g group, nowNS uint64) (*details, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, known := c.known[g.containerID]
	if !known || found.details == nil && int64(nowNS-found.atNS) >= int64(retryAfter) {
		return nil, false
	}
	return found.details, true
}

// load looks the container up and remembers the result. It may take as long as
// a file system does.
func (c *containers) load(g group, nowNS uint64) *details {
	if d, known := c.get(g, nowNS); known {
		return d // another worker was faster
	}
	c.read.Add(1)
	var d *details
	found, err := c.files.container(g)
	switch {
	case err == nil:
		d = &found
	case !errors.Is(err, fs.ErrNotExist):
		c.failed.Add(1)
	}
	d = c.kubelet.improve(g, d)
	if d == nil {
		c.nameless.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, again := c.known[g.containerID]; !again && len(c.known) >= maxContainers {
		for id := range c.known {
			delete(c.known, id)
			c.evicted.Add(1)
			break
		}
	}
	c.known[g.containerID] = remembered{d, nowNS}
	return d
}
