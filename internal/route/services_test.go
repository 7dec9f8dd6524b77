// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func servicesOf(t *testing.T, opts Options) *Services {
	t.Helper()
	s, err := NewServices(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// One that is asked for everything takes no word and no template from another.
func TestServicesAreApart(t *testing.T) {
	s := servicesOf(t, Options{MaxChildren: 3, MaxRoutes: 10, Patterns: []string{"/p/{x}"}})
	for i := range 100 {
		for _, target := range []string{"/%c%c%c", "/x/%c%c%c", "/y/%c%c%c/z"} {
			c := 'g' + rune(i%20)
			s.Template("hostile", fmt.Appendf(nil, target, c, 'k'+rune(i/20), c))
		}
	}
	var got []string
	for _, target := range []string{"/users/12", "/orders/7", "/checkout", "/health", "/p/q"} {
		got = append(got, s.Template("shop", []byte(target)))
	}
	want := []string{"/users/{id}", "/orders/{id}", "/checkout", "/*", "/p/{x}"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if st := s.Stats(); st.Capped == 0 || st.Evicted != 0 || st.Routes > 20 {
		t.Errorf("%+v", st)
	}
}

// Many services together are bounded; one that comes new finds room.
func TestServicesAreBounded(t *testing.T) {
	s := servicesOf(t, Options{MaxChildren: 1000, MaxRoutes: 50, CacheSize: 64})
	s.maxServices = 8
	for service := range 20 {
		for i := range 60 {
			target := fmt.Appendf(nil, "/%c%c", 'g'+rune(i%20), 'g'+rune(i/20))
			want := string(target)
			if i >= 50 {
				want = Other
			}
			if got := s.Template(fmt.Sprint("s", service), target); got != want {
				t.Fatalf("service %d, route %d: %s, want %s", service, i, got, want)
			}
		}
	}
	routes, cached := 0, 0
	for _, table := range s.tables {
		routes += len(table.routes)
		cached += len(table.cache)
	}
	if len(s.tables) > 8 || routes > s.maxRoutes || cached > 64 || routes != s.routes || cached != s.cached {
		t.Errorf("%d services, %d routes (%d noted), %d paths cached (%d noted)", len(s.tables), routes, s.routes, cached, s.cached)
	}
	if st := s.Stats(); st.Evicted == 0 || st.Overflow != 20*10 {
		t.Errorf("%+v", st)
	}
	// As many services as there may be, with a route each.
	for service := range 20 {
		if got := s.Template(fmt.Sprint("t", service), []byte("/one")); got != "/one" || len(s.tables) > 8 {
			t.Errorf("%s of service %d of %d", got, service, len(s.tables))
		}
	}
}

// A service that nobody asks for leaves, with what it took of the limits; one
// that is asked for all the time stays, also when it is the only one.
func TestServicesForgetTheIdle(t *testing.T) {
	s := servicesOf(t, Options{Patterns: []string{"/p/{x}"}})
	now := uint64(time.Hour)
	ask := func(service string) { s.Template(service, []byte("/word/"+service)) }
	s.Forget(now)
	ask("brief")
	for range 12 {
		ask("busy")
		now += uint64(time.Minute)
		s.Forget(now)
	}
	if len(s.tables) != 1 || s.tables["busy"] == nil || s.routes != 1 || s.cached != 1 {
		t.Errorf("%d services, %d routes, %d paths cached", len(s.tables), s.routes, s.cached)
	}
	// Looks that are far between do not take it for idle.
	for range 3 {
		ask("busy")
		now += uint64(time.Hour)
		s.Forget(now)
	}
	if s.tables["busy"] == nil {
		t.Error("forgotten although it was in use")
	}
	now += uint64(time.Hour)
	s.Forget(now)
	if st := s.Stats(); len(s.tables) != 0 || st.Routes != 1 || st.Evicted != 0 {
		t.Errorf("%d services, %+v", len(s.tables), st)
	}
	ask("busy")
	if st := s.Stats(); st.Routes != 2 {
		t.Errorf("%d routes", st.Routes)
	}
}

func TestServicesRefuse(t *testing.T) {
	if _, err := NewServices(Options{Patterns: []string{"users"}}); err == nil {
		t.Error("a bad pattern was accepted")
	}
}

func TestServicesDoNotAllocate(t *testing.T) {
	s := servicesOf(t, Options{})
	target := []byte("/api/v1/users/12345/orders?page=2")
	names := []string{"shop", "cart"}
	for _, name := range names {
		s.Template(name, target)
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() { i++; s.Template(names[i%2], target) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// One that takes the place of another counts on, with templates of its own.
func TestServicesContinue(t *testing.T) {
	before := servicesOf(t, Options{MaxChildren: 1, MaxRoutes: 2, CacheSize: 1})
	for _, target := range []string{"/a", "/b", "/c/d", "/e/f/g", "/a", "/a", "/b", "/b"} {
		before.Template("shop", []byte(target))
	}
	s := servicesOf(t, Options{Patterns: []string{"/x"}})
	s.Continue(before)
	want := before.Stats()
	if want.Capped == 0 || want.Overflow == 0 || want.CacheResets == 0 {
		t.Fatalf("nothing to continue: %+v", want)
	}
	want.Routes = 1
	if d := cmp.Diff(want, s.Stats()); d != "" {
		t.Error(d)
	}
}
