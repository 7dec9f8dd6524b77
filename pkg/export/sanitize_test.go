// SPDX-License-Identifier: Apache-2.0

package export

import (
	"strings"
	"testing"
)

func TestSegment(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "unknown", "shop": "shop", "10.0.0.1": "10_0_0_1", "a-b c": "a_b_c", "/users/{id}": "users_id", "_OTHER": "_OTHER",
		"{other}": "other", "a\nb:1|c": "a_b_1_c", "a__b": "a__b", "é": "x" + hash("é"), "*": "x" + hash("*"),
	} {
		if got := segment(in); got != want {
			t.Errorf("segment(%q) = %q, want %q", in, got, want)
		}
	}
	if got := routeSegment("/"); got != "root" {
		t.Errorf("route / = %q", got)
	}
	if segment("é") == segment("ü") {
		t.Error("names without any safe character are merged")
	}
}

func TestTagValue(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "unknown", "/users/{id}": "/users/{id}", "10.0.0.1:8080": "10.0.0.1:8080", "a,b|c#d;e=f[g]h\ni j": "a_b_c_d_e_f_g_h_i_j",
		"grün": "gr_n", "a:": "a_", ":": "_", "\x00\x7f\xff": "___",
	} {
		if got := tagValue("k", in); got != want {
			t.Errorf("tagValue(%q) = %q, want %q", in, got, want)
		}
	}
	long := strings.Repeat("x", 500)
	a, b := tagValue("route", long+"a"), tagValue("route", long+"b")
	if len("route:"+a) != maxTagLength || a == b || a != tagValue("route", long+"a") {
		t.Errorf("long values: %d characters, %q and %q", len("route:"+a), a, b)
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "probe", "my.app": "my.app", "my-app": "my_app", ".a..b.": "a.b", "9lives": "x9lives", "...": "unknown", "_x": "x_x",
	} {
		got := newEncoder(t, EncoderOptions{Prefix: in}).opt.Prefix
		if got != want {
			t.Errorf("prefix %q = %q, want %q", in, got, want)
		}
	}
	if got := newEncoder(t, EncoderOptions{Prefix: strings.Repeat("ab.", 100)}).opt.Prefix; len(got) > maxPrefixLength {
		t.Errorf("long prefix: %d characters", len(got))
	}
}
