// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/internal/testutil"
)

const podsJSON = `{"kind":"PodList","items":[
 {"metadata":{"name":"odd-name","namespace":"prod","uid":"` + testUID + `","labels":{"pod-template-hash":"6d4cf56db6"},
   "ownerReferences":[{"kind":"ReplicaSet","name":"shop-6d4cf56db6","controller":true}]},
  "status":{"containerStatuses":[{"name":"api","containerID":"containerd://` + testID + `"}],"initContainerStatuses":[{"name":"init","containerID":""}]}},
 {"metadata":{"name":"backup-28912345-k9wzb","namespace":"ops","uid":"u2","ownerReferences":[{"kind":"Job","name":"backup-28912345","controller":true}]},
  "status":{"ephemeralContainerStatuses":[{"name":"debug","containerID":"cri-o://22"}]}},
 {"metadata":{"name":"etcd-node1","namespace":"kube-system","uid":"u3","ownerReferences":[{"kind":"Node","name":"node1","controller":true}]},
  "status":{"containerStatuses":[{"name":"etcd","containerID":"docker://33"}]}}]}`

func TestOwnerName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, name, hash, want string }{
		{"ReplicaSet", "shop-6d4cf56db6", "6d4cf56db6", "shop"},
		{"ReplicaSet", "shop-6d4cf56db6", "", "shop-6d4cf56db6"},
		{"ReplicaSet", "shop-", "", "shop-"},
		{"Job", "backup-28912345", "", "backup"},
		{"Job", "backup-2891234", "", "backup-2891234"},   // too short for minutes since 1970
		{"Job", "backup-2891234x", "", "backup-2891234x"}, // no number
		{"Job", "backup", "", "backup"},
		{"DaemonSet", "agent-28912345", "", "agent-28912345"},
		{"Node", "node1", "", ""},
	} {
		if got := ownerName(tt.kind, tt.name, tt.hash); got != tt.want {
			t.Errorf("%s %s of %q: %q, want %q", tt.kind, tt.name, tt.hash, got, tt.want)
		}
	}
}

func TestParsePods(t *testing.T) {
	pods, err := parsePods([]byte(podsJSON))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for id, d := range pods.byContainer {
		var n Names
		n.takeDetails(d)
		got[id] = strings.Join([]string{n.Namespace, n.Pod, n.Container, n.Workload}, " ")
	}
	want := map[string]string{
		testID: "prod odd-name api shop", "22": "ops backup-28912345-k9wzb debug backup", "33": "kube-system etcd-node1 etcd etcd-node1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}

// kubeletFor runs a Kubelet against a server until the test ends.
func kubeletFor(t *testing.T, handler http.HandlerFunc, trusted bool, log *slog.Logger) *Kubelet {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	files := map[string][]byte{"token": []byte("secret\n")}
	if trusted {
		files["ca.crt"] = ca
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k, err := NewKubelet(KubeletOptions{URL: server.URL + "/pods", Dir: dir}, "", log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { k.Run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return k
}

func TestKubelet(t *testing.T) {
	k := kubeletFor(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || r.URL.Path != "/pods" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Write([]byte(podsJSON))
	}, true, nil)
	// The files know the pod's name, the kubelet its owner.
	l := layouts()[0]
	l.files = map[string]string{taskFile: strings.ReplaceAll(criConfig, "shop-6d4cf56db6-x2l8q", "odd-name")}
	for name, root := range map[string]string{"with files": l.hostRoot(t), "without": t.TempDir()} {
		r := newResolver(t, Options{HostRoot: root, Kubelet: k})
		n := found(r, l.cgroup)
		if got, want := n.serviceName(0), "shop/api"; got != want || n.Pod != "odd-name" {
			t.Errorf("%s: service %q of pod %q, want %q", name, got, n.Pod, want)
		}
	}
	if k.failures.Load() != 0 || k.requests.Load() == 0 {
		t.Errorf("%d requests, %d failures", k.requests.Load(), k.failures.Load())
	}
}

// A kubelet that fails is told once, and names come from files.
func TestKubeletFails(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		trusted bool
		says    string
	}{
		"forbidden":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, true, "nodes/proxy"},
		"redirects":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }, true, "302"},
		"no JSON":     {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, true, "read pods"},
		"not trusted": {func(http.ResponseWriter, *http.Request) {}, false, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			var log testutil.Buffer
			k := kubeletFor(t, tt.handler, tt.trusted, slog.New(slog.NewTextHandler(&log, nil)))
			l := layouts()[0]
			r := newResolver(t, Options{HostRoot: l.hostRoot(t), Kubelet: k})
			if n := found(r, l.cgroup); n.serviceName(0) != l.service {
				t.Errorf("service %q, want %q", n.serviceName(0), l.service)
			}
			if k.failures.Load() == 0 || strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), tt.says) {
				t.Errorf("%d failures, log %q, want %q once", k.failures.Load(), log.String(), tt.says)
			}
			if strings.Contains(log.String(), "secret") {
				t.Errorf("the log holds the token: %q", log.String())
			}
		})
	}
}

func TestKubeletAddress(t *testing.T) {
	if _, err := NewKubelet(KubeletOptions{}, "", nil); err == nil || !strings.Contains(err.Error(), "NODE_IP") {
		t.Errorf("without an address: %v", err)
	}
	for ip, want := range map[string]string{"10.0.0.5": "https://10.0.0.5:10250/pods", "fd00::5": "https://[fd00::5]:10250/pods"} {
		k, err := NewKubelet(KubeletOptions{}, ip, nil)
		if err != nil || k.opt.URL != want {
			t.Errorf("%s: %v, %v, want %s", ip, k, err, want)
		}
	}
}
