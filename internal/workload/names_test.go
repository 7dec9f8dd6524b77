// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"

	"probe/pkg/events"
)

func TestWorkloadOf(t *testing.T) {
	for pod, want := range map[string]string{
		"web-6d4cf56db6-x2l8q":         "web",
		"my-web-app-76d69c8b5-zzzzz":   "my-web-app",
		"backup-28912345-k9wzb":        "backup",
		"db-0":                         "db",
		"kafka-broker-12":              "kafka-broker",
		"agent-x2l8q":                  "agent",
		"agent-a1e0i":                  "agent-a1e0i", // vowels, ones and zeros are never generated
		"web-abc-x2l8q":                "web-abc",     // no template hash
		"shell":                        "shell",
		"kube-proxy-node1":             "kube-proxy-node1",
		"-x2l8q":                       "-x2l8q",
		"web-":                         "web-",
		"":                             "",
		"report-2024-11":               "report-2024",
		"x-123456":                     "x-123456", // no StatefulSet has so many
		"coredns-6d4cf56db6x-x2l8q":    "coredns-6d4cf56db6x",
		"long-456789bcdf45-x2l8q":      "long-456789bcdf45",
		"etcd-ip-10-0-0-1.example.com": "etcd-ip-10-0-0-1.example.com",
	} {
		if got := workloadOf(pod); got != want {
			t.Errorf("workloadOf(%q) = %q, want %q", pod, got, want)
		}
	}
}

func TestRules(t *testing.T) {
	pod := Names{Origin: events.Origin{Container: "api", Pod: "shop-0", Namespace: "prod", Workload: "shop"},
		Unit: "u", Exe: "/usr/bin/node (deleted)", Program: "node:app.js", Comm: "node"}
	host := Names{Exe: "/opt/shop/bin/shop", Program: "shop", Comm: "shop"}
	tests := []struct {
		name  string
		rules []string
		names Names
		want  string
	}{
		{"none", nil, pod, "shop/api"},
		{"match", []string{"container:api=front"}, pod, "front"},
		{"first wins", []string{"container:api=one", "pod:*=two"}, pod, "one"},
		{"no match", []string{"container:ap=front"}, pod, "shop/api"},
		{"all must match", []string{"container:api,namespace:test=front"}, pod, "shop/api"},
		{"several", []string{"container:a*,namespace:prod,workload:sh?p,unit:u,comm:node=front"}, pod, "front"},
		{"placeholders", []string{"pod:shop-*={namespace}/{workload}:{port}"}, pod, "prod/shop:80"},
		{"all placeholders", []string{"comm:node={container}{pod}{unit}{exe}{comm}"}, pod, "apishop-0unodenode"},
		{"exe by last part", []string{"exe:node=n"}, pod, "n"},
		{"exe by path", []string{"exe:/opt/*/shop=n"}, host, "n"},
		{"exe by path, replaced by an upgrade", []string{"exe:/usr/bin/node=n"}, pod, "n"},
		{"exe by another path", []string{"exe:/usr/*=n"}, host, "shop-80"},
		{"port", []string{"port:80=web"}, host, "web"},
		{"port beginning", []string{"port:8*=web"}, host, "web"},
		{"what is empty matches nothing", []string{"pod:*=n"}, host, "shop-80"},
		{"an empty name is none", []string{"comm:shop={pod}"}, host, "shop-80"},
		{"name with =", []string{"comm:shop=a=b"}, host, "a=b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules, err := ParseRules(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			if got := service(rules, &tt.names, 80); got != tt.want {
				t.Errorf("service() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestBadRules(t *testing.T) {
	for text, want := range map[string]string{
		"":               "no name",
		"api":            "no name",
		"container:api=": "no name",
		"=x":             "no pattern",
		"container=x":    "no pattern",
		"container:=x":   "no pattern",
		"color:red=x":    `unknown field "color"`,
		"port:80,=x":     "no pattern",
		"port:abc=x":     `no port is like "abc"`,
		"port:80-90=x":   "digits, * and ? only",
		"port:8\u0660=x": "digits, * and ? only",
		"port:80={nope}": "unknown field {nope",
		"port:80={pod":   "unknown field {pod",
		"port:80={}":     "unknown field {",
		"comm:" + strings.Repeat("x", maxRuleBytes) + "=y": "longer than",
	} {
		_, err := ParseRules([]string{text})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRules(%.40q) = %v, want an error with %q", text, err, want)
		}
	}
	if _, err := ParseRules(make([]string, maxRules+1)); err == nil {
		t.Error("too many rules are taken")
	}
}

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abbc", true}, {"a*c", "abb", false},
		{"?", "", false}, {"?", "a", true}, {"a?c", "abc", true}, {"*a*b*", "xaybz", true}, {"*a*b*", "xbya", false},
		{"**", "x", true}, {"*b", "aab", true}, {"ab", "a", false}, {"a", "ab", false}, {"a/*", "a/b/c", true},
	} {
		if got := glob(tt.pattern, tt.s); got != tt.want {
			t.Errorf("glob(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

// A rule that is taken names everything it matches, with a bounded name.
func FuzzRules(f *testing.F) {
	f.Add("container:api*,port:80={namespace}/{workload}", "api", "prod", uint16(80))
	f.Add("exe:/opt/*/x?={exe}", "/opt/a/xy", "{pod}", uint16(1))
	f.Add("comm:***a*b=c={{", "aab", "", uint16(0))
	f.Fuzz(func(t *testing.T, rule, value, other string, port uint16) {
		rules, err := ParseRules([]string{rule})
		if err != nil {
			return
		}
		n := Names{Origin: events.Origin{Container: value, Namespace: other, Workload: other, Pod: value}, Unit: other, Exe: value, Program: value, Comm: value}
		if name := service(rules, &n, port); len(name) > 2*maxNameBytes+len("/-65535") {
			t.Errorf("name of %d bytes", len(name))
		}
		if !glob("*"+value[:min(1, len(value))]+"*", value) && !strings.ContainsAny(value, "*?") {
			t.Errorf("%q does not contain its first byte", value)
		}
	})
}
