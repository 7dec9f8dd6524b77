// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"probe/pkg/events"
)

const (
	// MaxSeriesTotals is the number of series whose totals are kept.
	MaxSeriesTotals = 1000
	// maxServiceTotals is how many of them one service may have.
	maxServiceTotals = MaxSeriesTotals * 3 / 4
)

// SeriesTotals adds up series over all intervals, idle ones included, so that
// they can outlive the program. The first MaxSeriesTotals keys, of one service
// three quarters of that, have totals of their own; further ones share those of
// one key per role, made of Other. It is safe for concurrent use; the zero value
// is empty.
type SeriesTotals struct {
	mu        sync.Mutex
	all       map[Key]*SeriesTotal
	byService map[string]int
}

// SeriesTotal is what one series has added up to.
type SeriesTotal struct {
	Key
	Requests      uint64 `json:"requests"`
	Errors        uint64 `json:"errors"`
	RequestBytes  uint64 `json:"request_bytes"`
	ResponseBytes uint64 `json:"response_bytes"`
	// Timed requests have a known duration; Duration is their sum, Max the
	// longest.
	Timed    uint64        `json:"timed"`
	Duration time.Duration `json:"duration_ns"`
	Max      time.Duration `json:"max_ns"`
}

// Add adds an interval.
func (t *SeriesTotals) Add(s *Snapshot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range s.Series {
		one := &s.Series[i]
		t.of(readable(one.Key)).plus(&SeriesTotal{
			Requests: one.Requests, Errors: one.Errors, RequestBytes: one.RequestBytes, ResponseBytes: one.ResponseBytes,
			Timed: one.Latency.Count, Duration: one.Latency.Sum, Max: one.Latency.Max,
		})
	}
}

// readable is the key as JSON tells it: two names that differ in bytes that are
// no UTF-8 would come back as the same one, and the list be refused.
func readable(k Key) Key {
	const replacement = "\uFFFD"
	k.Service, k.Route = strings.ToValidUTF8(k.Service, replacement), strings.ToValidUTF8(k.Route, replacement)
	return k
}

// overflowKey is the one that takes what has no totals of its own.
func overflowKey(role events.Role) Key {
	return Key{Service: Other, Method: Other, Route: Other, Role: role}
}

func (t *SeriesTotals) of(k Key) *SeriesTotal {
	if total := t.all[k]; total != nil {
		return total
	}
	other := overflowKey(k.Role)
	// Those of Other are not among the limited: in a list that is restored they
	// may come first, and would take the place of one that had its own.
	if k != other && (t.own() >= MaxSeriesTotals || t.byService[k.Service] >= maxServiceTotals) {
		return t.of(other)
	}
	if t.all == nil {
		t.all, t.byService = make(map[Key]*SeriesTotal), make(map[string]int)
	}
	total := &SeriesTotal{Key: k}
	t.all[k] = total
	t.byService[k.Service]++
	return total
}

// own is the number of keys with totals of their own.
func (t *SeriesTotals) own() int {
	n := len(t.all)
	for role := range NumRoles {
		if t.all[overflowKey(events.Role(role))] != nil {
			n--
		}
	}
	return n
}

func (t *SeriesTotal) plus(o *SeriesTotal) {
	t.Requests += o.Requests
	t.Errors += o.Errors
	t.RequestBytes += o.RequestBytes
	t.ResponseBytes += o.ResponseBytes
	t.Timed += o.Timed
	t.Duration = addDurations(t.Duration, o.Duration)
	t.Max = max(t.Max, o.Max)
}

// List returns the totals, those with the most requests first.
func (t *SeriesTotals) List() []SeriesTotal {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]SeriesTotal, 0, len(t.all))
	for _, one := range t.all {
		list = append(list, *one)
	}
	slices.SortFunc(list, func(a, b SeriesTotal) int {
		if c := cmp.Compare(b.Requests, a.Requests); c != 0 {
			return c
		}
		return a.Key.Compare(b.Key)
	})
	return list
}

// Reset forgets all.
func (t *SeriesTotals) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all, t.byService = nil, nil
}

// Restore adds what List returned in an earlier run. A list that List cannot
// have returned is an error and changes nothing.
func (t *SeriesTotals) Restore(list []SeriesTotal) error {
	if err := ValidateSeriesTotals(list); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range list {
		t.of(list[i].Key).plus(&list[i])
	}
	return nil
}

// ValidateSeriesTotals reports what Restore refuses.
func ValidateSeriesTotals(list []SeriesTotal) error {
	if len(list) > MaxSeriesTotals+NumRoles {
		return fmt.Errorf("%d series, at most %d", len(list), MaxSeriesTotals+NumRoles)
	}
	seen := make(map[Key]bool, len(list))
	for i := range list {
		one := &list[i]
		switch {
		case seen[one.Key]:
			return errors.New("a series is there twice")
		case int(one.Role) >= NumRoles:
			return fmt.Errorf("series of the unknown role %d", one.Role)
		case one.Errors > one.Requests, one.Timed > one.Requests, one.Duration < 0, one.Max < 0:
			return errors.New("a series contradicts itself")
		}
		seen[one.Key] = true
	}
	return nil
}
