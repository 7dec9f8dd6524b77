// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tableOf is the table of the only service.
func tableOf(t interface {
	Helper()
	Fatal(args ...any)
}, opts Options) *table {
	t.Helper()
	s, err := NewServices(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s.of("shop")
}

func TestTargetForms(t *testing.T) {
	table := tableOf(t, Options{})
	for _, tt := range [][2]string{
		{"", Unknown},
		{"/", "/"},
		{"*", Asterisk},
		{"/users/12?x=/y#z", "/users/{id}"},
		{"/users/12#z?x", "/users/{id}"},
		{"/?", "/"},
		{"http://a.example/users/12?x", "/users/{id}"},
		{"https://user@a.example:8443/x", "/x"},
		{"http://a.example", "/"},
		{"http://a.example?x=/y", "/"},
		{"a.example:443", Authority},
		{"[::1]:443", Authority},
		{"/users", "/users"},
		{"/users/", "/users/"},
		{"/users/12/", "/users/{id}"},
		{"/users//12", "/users//{id}"},
		{"//", "//"},
		{"/page;jsessionid=1A530637289A03B07199A44E8D531427", "/page"},
		{"/12;a=b/x;c", "/{id}/x"},
		{"/caf\xc3\xa9", "/{bin}"},
		{"/a\x01b", "/{bin}"},
		{"/caf%C3%A9", "/caf%C3%A9"},
		{"/" + strings.Repeat("z", maxSegment), "/" + strings.Repeat("z", maxSegment)},
		{"/" + strings.Repeat("z", maxSegment+1), "/{long}"},
		{strings.Repeat("/a", 12), strings.Repeat("/a", 12)},
		{strings.Repeat("/a", 13), strings.Repeat("/a", 12) + "/*"},
		{strings.Repeat("/a", 40) + "/", strings.Repeat("/a", 12) + "/*"},
		{strings.Repeat("/"+strings.Repeat("z", 60), 5), strings.Repeat("/"+strings.Repeat("z", 60), 4) + "/*"},
	} {
		for range 2 { // worked out, then cached
			if got := table.template([]byte(tt[0])); got != tt[1] {
				t.Errorf("%q: %q, want %q", tt[0], got, tt[1])
			}
		}
	}
}

func TestPatterns(t *testing.T) {
	table := tableOf(t, Options{Patterns: []string{
		"/users/me", "/users/{id}/orders/{order}", "/users/{name}", "/static/*", "/files/**", "/raw/{path...}",
		"/dir/{x}/", "/v1/{a}/b", "/v1/{other}/b", "/;p/{id}",
	}})
	for _, tt := range [][2]string{
		{"/users/me", "/users/me"},
		{"/users/me/", "/users/{name}"},
		{"/users/anna", "/users/{name}"},
		{"/users/anna/", "/users/{name}"},
		{"/users/", "/users/"},
		{"/users/a/orders/b?c", "/users/{id}/orders/{order}"},
		{"/users/a/orders/b/", "/users/{id}/orders/{order}"},
		{"/users/a/orders/", "/users/a/orders/"},
		{"/users/a/orders/b/c", "/users/a/orders/b/c"},
		{"/Users/me", "/Users/me"},
		{"/static/a/b/c.js", "/static/*"},
		{"/static/", "/static/*"},
		{"/static", "/static"},
		{"/files/a/b", "/files/**"},
		{"/raw/a/b", "/raw/{path...}"},
		{"/dir/a/", "/dir/{x}/"},
		{"/dir/a", "/dir/a"},
		{"/v1/7/b", "/v1/{a}/b"},
		{"/;p/7", "/;p/{id}"},
		{"http://h/users/anna", "/users/{name}"},
	} {
		if got := table.template([]byte(tt[0])); got != tt[1] {
			t.Errorf("%q: %q, want %q", tt[0], got, tt[1])
		}
	}
	if all := tableOf(t, Options{Patterns: []string{"/*"}}); all.template([]byte("http://h")) != "/*" {
		t.Error("/* does not match the root")
	}
	root := tableOf(t, Options{Patterns: []string{"/"}})
	if got := root.template([]byte("/x")); got != "/x" || root.all.Stats().Routes != 2 {
		t.Errorf("%q, %+v", got, root.all.Stats())
	}
}

func TestBadOptions(t *testing.T) {
	for _, tt := range []struct {
		opts Options
		want string
	}{
		{Options{Patterns: []string{"/ok", "users"}}, `route pattern "users": must start with a slash`},
		{Options{Patterns: []string{""}}, `route pattern "": must start with a slash`},
		{Options{Patterns: []string{"/a/*/b"}}, `route pattern "/a/*/b": "*" is only allowed as the last segment`},
		{Options{Patterns: []string{"/{a...}/b"}}, `route pattern "/{a...}/b": "{a...}" is only allowed as the last segment`},
		{Options{Patterns: []string{"/a/{}"}}, `route pattern "/a/{}": "{}": the placeholder has no name`},
		{Options{Patterns: []string{"/a/x{id}"}}, `route pattern "/a/x{id}": "x{id}": a placeholder must be a whole segment, like {id}, or * at the end`},
		{Options{Patterns: []string{"/a/{id"}}, `route pattern "/a/{id": "{id": a placeholder must be a whole segment, like {id}, or * at the end`},
		{Options{Patterns: []string{"/a*"}}, `route pattern "/a*": "a*": a placeholder must be a whole segment, like {id}, or * at the end`},
		{Options{Patterns: []string{"/a?b"}}, `route pattern "/a?b": '?' is not allowed`},
		{Options{Patterns: []string{"/a b"}}, `route pattern "/a b": ' ' is not allowed`},
		{Options{Patterns: []string{"/" + strings.Repeat("a", 256)}}, `route pattern "/` + strings.Repeat("a", 256) + `": longer than 256 bytes`},
		{Options{Patterns: []string{"/a", "/b"}, MaxRoutes: 1}, "route options: 2 patterns, but max routes is 1"},
		{Options{MaxChildren: -1}, "route options: max children is negative: -1"},
		{Options{MaxDepth: -1}, "route options: max depth is negative: -1"},
		{Options{MaxRoutes: -1}, "route options: max routes is negative: -1"},
		{Options{CacheSize: -1}, "route options: cache size is negative: -1"},
	} {
		s, err := NewServices(tt.opts)
		if err == nil || err.Error() != tt.want || s != nil {
			t.Errorf("%+v: %v, want %s", tt.opts, err, tt.want)
		}
	}
}

func TestChildCap(t *testing.T) {
	table := tableOf(t, Options{MaxChildren: 3})
	var got []string
	for _, target := range []string{
		"/78", "/a", "/b", "/c/x", "/d", "/e/x/12", "/e/y", "/d/", "/a/new", "/77", "/*", "/b", "/{id}", "/d",
	} {
		got = append(got, table.template([]byte(target)))
	}
	want := []string{"/{id}", "/a", "/b", "/c/x", "/*", "/*/x/{id}", "/*/y", "/*", "/a/new", "/{id}", "/*", "/b", "/{id}", "/*"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Stats{Routes: 8, Capped: 5}, table.all.Stats()); d != "" {
		t.Error(d)
	}
}

func TestMaxRoutes(t *testing.T) {
	table := tableOf(t, Options{MaxRoutes: 3, CacheSize: 2, Patterns: []string{"/p/{x}"}})
	var got []string
	for _, target := range []string{"/a", "/b/1", "/c", "/c", "/b/2", "/p/1", "/a", "/a/b"} {
		got = append(got, table.template([]byte(target)))
	}
	want := []string{"/a", "/b/{id}", Other, Other, "/b/{id}", "/p/{x}", "/a", Other}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Stats{Routes: 3, Overflow: 3}, table.all.Stats()); d != "" {
		t.Error(d)
	}
	if countNodes(&table.root) != 4 {
		t.Errorf("%d nodes: a refused route was kept", countNodes(&table.root))
	}
}

// That a segment is a known word is a short cut and nothing else.
func TestWordsAreShortCuts(t *testing.T) {
	t.Parallel()
	segment := rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "b", "api", "rest", "users", "2", "42", "v1", "*", "{id}", "a;x=1", "Users(42)", "app.3f2a9c81.js", "app.{hash}.js", "sha256", "é"}),
		rapid.StringMatching(`[a-zA-Z0-9.;_%@(){}*-]{0,30}`),
	)
	paths := rapid.SliceOfN(rapid.SliceOfN(segment, 1, 8), 1, 40)
	rapid.Check(t, func(t *rapid.T) {
		opts := Options{MaxChildren: rapid.IntRange(1, 4).Draw(t, "children"), MaxDepth: 6}
		short, long := tableOf(t, opts), tableOf(t, opts)
		for _, p := range paths.Draw(t, "paths") {
			path := []byte("/" + strings.Join(p, "/"))
			forgetWords(&long.root)
			if got, want := short.template(path), long.template(path); got != want {
				t.Fatalf("%s: %s, the long way %s", path, got, want)
			}
		}
	})
}

// What was a word in one place is none in another.
func TestWordsByPlace(t *testing.T) {
	t.Parallel()
	table := tableOf(t, Options{})
	var got []string
	for _, target := range []string{"/api/2/issue", "/api/2", "/api/3/issue", "/api/2/issue", "/*", "/users/Users(7)", "/users/Users({id})"} {
		got = append(got, table.template([]byte(target)))
	}
	want := []string{"/api/2/issue", "/api/{id}", "/api/3/issue", "/api/2/issue", "/*", "/users/Users({id})", "/users/Users({id})"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func forgetWords(n *node) {
	n.word = false
	for _, c := range n.children {
		forgetWords(c)
	}
}

// A path is remembered when it comes again.
func TestCache(t *testing.T) {
	table := tableOf(t, Options{CacheSize: 2})
	for i, step := range []struct {
		target string
		cached int
	}{
		{"/a/1", 0}, {"/a/2", 0}, {"/a/1", 1}, {"/a/1?x", 1}, {"/a/2", 2}, {"/a/3", 2}, {"/a/3", 1},
		{"/" + strings.Repeat("a", maxCachedPath), 1}, {"/" + strings.Repeat("a", maxCachedPath), 1},
	} {
		table.template([]byte(step.target))
		if n := len(table.cache); n != step.cached || table.all.cached != n {
			t.Errorf("after %d targets, %s: %d cached, %d counted, want %d", i+1, step.target, n, table.all.cached, step.cached)
		}
	}
	if n := table.all.Stats().CacheResets; n != 1 {
		t.Errorf("emptied %d times", n)
	}
}

func countNodes(n *node) int {
	total := 1
	for _, c := range n.children {
		total += countNodes(c)
	}
	return total
}

// TestMemoryUnderAttack sends more different paths than any limit allows.
func TestMemoryUnderAttack(t *testing.T) {
	const paths, maxGrowth = 300_000, 8 << 20
	table := tableOf(t, Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	word := func() []byte {
		w := make([]byte, 3+rng.IntN(20))
		for i := range w {
			w[i] = 'g' + byte(rng.IntN(20))
		}
		return w
	}
	before := heapInUse()
	templates := make(map[string]int)
	var path []byte
	for i := range paths {
		// Half of them start with one of a few words, so that their second
		// segments are not all behind one "*".
		path = path[:0]
		if i%2 == 0 {
			path = fmt.Appendf(path, "/svc-%c", 'a'+rng.IntN(26))
		}
		for range 1 + rng.IntN(20) {
			path = append(append(path, '/'), word()...)
		}
		templates[table.template(path)]++
		if i%2 == 0 {
			table.template(path) // and comes again, so that it is cached
		}
	}
	grown := int64(heapInUse()) - int64(before)
	s := table.all.Stats()
	if s.Routes != defaultMaxRoutes || len(templates) != defaultMaxRoutes+1 {
		t.Errorf("%d routes, %d templates", s.Routes, len(templates))
	}
	if s.Overflow == 0 || s.Capped == 0 || s.CacheResets == 0 {
		t.Errorf("a limit was not reached: %+v", s)
	}
	if len(table.cache) > defaultCacheSize {
		t.Errorf("%d cached", len(table.cache))
	}
	if n := countNodes(&table.root); n > defaultMaxRoutes*(defaultMaxDepth+1) {
		t.Errorf("%d nodes", n)
	}
	if grown > maxGrowth {
		t.Errorf("heap grew by %d bytes", grown)
	}
	t.Logf("heap grew by %d KiB, %+v", grown>>10, s)
	runtime.KeepAlive(table)
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestNoAllocations(t *testing.T) {
	table := tableOf(t, Options{CacheSize: 4})
	long := []byte("/known/" + strings.Repeat("7", maxCachedPath))
	allocs := testing.AllocsPerRun(100, func() {
		table.template([]byte("/users/12345/orders/9?page=3"))
		table.template([]byte("http://a.example/users/12345"))
		table.template(long) // not cached, but known
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if len(table.cache) != 2 {
		t.Errorf("%d paths cached, want the two short ones", len(table.cache))
	}
}

func FuzzTemplate(f *testing.F) {
	for _, p := range append(realPaths[:], hostilePaths...) {
		f.Add([]byte(p[0]))
	}
	for _, s := range []string{"", "*", "/", "http://h?x", "a:1", "/\xff/\x00", "/a;b;c/;", "/((1))", "/x(1)", "/1:2:3.4.5", "/" + strings.Repeat("9.", 200)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, target []byte) {
		table := tableOf(t, Options{Patterns: []string{"/static/*", "/users/{id}"}})
		first := table.template(target)
		if len(first) == 0 || len(first) > maxTemplate || strings.ContainsAny(first, "?#") || !isVisible([]byte(first)) {
			t.Fatalf("%q: %q", target, first)
		}
		if again := table.template(target); again != first {
			t.Fatalf("%q: %q, then %q", target, first, again)
		}
		clear(table.cache)
		if again := table.template(target); again != first {
			t.Fatalf("%q: %q, without cache %q", target, first, again)
		}
		if n := countNodes(&table.root); n > defaultMaxDepth+2 {
			t.Fatalf("%q: %d nodes", target, n)
		}
		tight := tableOf(t, Options{MaxChildren: 1, MaxRoutes: 1, MaxDepth: 1, CacheSize: 1})
		tight.template([]byte("/first"))
		if got := tight.template(target); len(got) > maxTemplate || tight.all.Stats().Routes > 1 {
			t.Fatalf("%q: %q %+v", target, got, tight.all.Stats())
		}
	})
}
