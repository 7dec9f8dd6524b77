// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/internal/testutil"
	"probe/pkg/events"
)

const (
	testID    = "5f3c0d9e8b7a6f5e4d3c2b1a09f8e7d6c5b4a3928170f6e5d4c3b2a190887766"
	testUID   = "0f4e1c2a-9b1d-4a5e-8c3f-7d6e5b4a3c2d"
	unitUID   = "0f4e1c2a_9b1d_4a5e_8c3f_7d6e5b4a3c2d" // as the systemd driver writes it
	taskFile  = "run/containerd/io.containerd.runtime.v2.task/k8s.io/" + testID + "/config.json"
	k3sFile   = "run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/" + testID + "/config.json"
	crioFile  = "run/containers/storage/overlay-containers/" + testID + "/userdata/config.json"
	nerdFile  = "run/containerd/io.containerd.runtime.v2.task/default/" + testID + "/config.json"
	dockerCfg = "var/lib/docker/containers/" + testID + "/config.v2.json"
	storage   = "var/lib/containers/storage/overlay-containers/containers.json"
	logFile   = "var/log/containers/shop-6d4cf56db6-x2l8q_prod_api-" + testID + ".log"
	podLog    = "var/log/pods/prod_shop-6d4cf56db6-x2l8q_" + testUID + "/api/0.log"

	criConfig = `{"ociVersion":"1.1.0","annotations":{"io.kubernetes.cri.container-type":"container",
		"io.kubernetes.cri.container-name":"api","io.kubernetes.cri.sandbox-name":"shop-6d4cf56db6-x2l8q",
		"io.kubernetes.cri.sandbox-namespace":"prod","io.kubernetes.cri.sandbox-uid":"` + testUID + `"}}`
	crioConfig = `{"ociVersion":"1.0.2","annotations":{"io.kubernetes.container.name":"api","io.kubernetes.pod.name":"shop-6d4cf56db6-x2l8q",
		"io.kubernetes.pod.namespace":"prod","io.kubernetes.pod.uid":"` + testUID + `"}}`
	composeConfig = `{"ID":"` + testID + `","Name":"/shop-web-1","Config":{"Labels":{"com.docker.compose.service":"web","com.docker.compose.project":"shop"}}}`
	swarmConfig   = `{"Name":"/shop_web.1.abc","Config":{"Labels":{"com.docker.swarm.service.name":"shop_web","com.docker.stack.namespace":"shop"}}}`
	plainConfig   = `{"Name":"/cache","Config":{"Labels":{}}}`
	kubeDocker    = `{"Name":"/k8s_api_shop_prod","Config":{"Labels":{"io.kubernetes.container.name":"api","io.kubernetes.pod.name":"shop-6d4cf56db6-x2l8q",
		"io.kubernetes.pod.namespace":"prod","io.kubernetes.pod.uid":"` + testUID + `"}}}`
	podmanConfig = `{"annotations":{"io.container.manager":"libpod"}}`
	storageJSON  = `[{"id":"00","names":["other"]},{"id":"` + testID + `","names":["cache"],"layer":"x"}]`
)

// layout is how one runtime places a container, and what is to be found.
type layout struct {
	runtime, driver, version string
	cgroup                   string
	files                    map[string]string
	service                  string
	want                     Names // without what every row has
}

var (
	podOrigin = events.Origin{Container: "api", ContainerID: testID, Pod: "shop-6d4cf56db6-x2l8q", Namespace: "prod", Workload: "shop"}
	inPod     = func(runtime, source string) Names {
		return Names{Origin: podOrigin, Runtime: runtime, PodUID: testUID, Source: source}
	}
	inContainer = func(runtime, name, source string) Names {
		return Names{Origin: events.Origin{Container: name, ContainerID: testID}, Runtime: runtime, Source: source}
	}
)

func layouts() []layout {
	const (
		slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + unitUID + ".slice/"
		plain = "/kubepods/burstable/pod" + testUID + "/"
		cri   = "containerd config.json"
		crio  = "CRI-O config.json"
		dock  = "Docker config.v2.json"
	)
	v2 := func(path string) string { return "0::" + path + "\n" }
	v1 := func(path string) string {
		return "12:memory:" + path + "\n4:cpu:" + path + "\n1:name=systemd:" + path + "\n"
	}
	compose := Names{Origin: events.Origin{Container: "shop-web-1", ContainerID: testID, Namespace: "shop", Workload: "web"},
		Runtime: "docker", Service: "web", Project: "shop", Source: dock}
	swarm := Names{Origin: events.Origin{Container: "shop_web.1.abc", ContainerID: testID, Namespace: "shop", Workload: "shop_web"},
		Runtime: "docker", Service: "shop_web", Project: "shop", Source: dock}
	lxc := func(unit string) Names {
		return Names{Origin: events.Origin{Container: "web1", ContainerID: "web1"}, Runtime: "lxc", Unit: unit, Source: "cgroup path"}
	}
	podOnly := inPod("", "/"+podLogsDir)
	return []layout{
		{"containerd", "systemd", "v2", v2(slice + "cri-containerd-" + testID + ".scope"), map[string]string{taskFile: criConfig}, "shop/api", inPod("containerd", cri)},
		{"containerd", "systemd", "v1", v1(slice + "cri-containerd-" + testID + ".scope"), map[string]string{taskFile: criConfig}, "shop/api", inPod("containerd", cri)},
		{"containerd", "cgroupfs", "v2", v2(plain + testID), map[string]string{taskFile: criConfig}, "shop/api", inPod("containerd", cri)},
		{"containerd", "cgroupfs", "v1", v1(plain + testID), map[string]string{taskFile: criConfig}, "shop/api", inPod("containerd", cri)},
		{"containerd", "cgroupfs given a systemd path", "v1", v1("/system.slice/containerd.service/kubepods-burstable-pod" + unitUID + ".slice:cri-containerd:" + testID), map[string]string{taskFile: criConfig}, "shop/api", inPod("containerd", cri)},
		{"k3s", "systemd", "v2", v2(slice + "cri-containerd-" + testID + ".scope"), map[string]string{k3sFile: criConfig}, "shop/api", inPod("containerd", cri)},
		{"kind (a node in Docker)", "systemd", "v2", v2("/system.slice/docker-" + strings.Repeat("ab", 32) + ".scope/kubelet.slice/kubelet" + strings.ReplaceAll(slice, "/kubepods", "/kubelet-kubepods") + "cri-containerd-" + testID + ".scope"), map[string]string{logFile: ""}, "shop/api", inPod("containerd", "/"+logDir)},
		{"CRI-O", "systemd", "v2", v2(slice + "crio-" + testID + ".scope"), map[string]string{crioFile: crioConfig}, "shop/api", inPod("cri-o", crio)},
		{"CRI-O", "systemd", "v1", v1(slice + "crio-" + testID + ".scope"), map[string]string{crioFile: crioConfig}, "shop/api", inPod("cri-o", crio)},
		{"CRI-O", "cgroupfs", "v1", v1(plain + "crio-" + testID), map[string]string{crioFile: crioConfig}, "shop/api", inPod("cri-o", crio)},
		{"Docker Compose", "systemd", "v2", v2("/system.slice/docker-" + testID + ".scope"), map[string]string{dockerCfg: composeConfig}, "web", compose},
		{"Docker Swarm", "systemd", "v2", v2("/system.slice/docker-" + testID + ".scope"), map[string]string{dockerCfg: swarmConfig}, "shop_web", swarm},
		{"Docker", "cgroupfs", "v2", v2("/docker/" + testID), map[string]string{dockerCfg: plainConfig}, "cache", inContainer("docker", "cache", dock)},
		{"Docker", "cgroupfs", "v1", v1("/docker/" + testID), map[string]string{dockerCfg: plainConfig}, "cache", inContainer("docker", "cache", dock)},
		{"Docker", "cgroupfs", "hybrid", v1("/docker/"+testID) + v2("/system.slice/containerd.service"), map[string]string{dockerCfg: plainConfig}, "cache", inContainer("docker", "cache", dock)},
		{"Docker under the kubelet", "systemd", "v2", v2(slice + "docker-" + testID + ".scope"), map[string]string{dockerCfg: kubeDocker}, "shop/api", inPod("docker", dock)},
		{"Podman", "systemd", "v2", v2("/machine.slice/libpod-" + testID + ".scope/container"), map[string]string{storage: storageJSON, crioFile: podmanConfig}, "cache", inContainer("podman", "cache", "containers.json")},
		{"Podman", "cgroupfs", "v1", v1("/libpod_parent/libpod-" + testID), map[string]string{storage: storageJSON}, "cache", inContainer("podman", "cache", "containers.json")},
		{"Podman in a unit", "systemd", "v2", v2("/system.slice/cache.service/libpod-payload-" + testID), map[string]string{storage: storageJSON}, "cache", inContainer("podman", "cache", "containers.json")},
		{"nerdctl", "systemd", "v2", v2("/system.slice/nerdctl-" + testID + ".scope"), map[string]string{nerdFile: `{"annotations":{"nerdctl/name":"cache"}}`}, "cache", inContainer("containerd", "cache", cri)},
		{"nerdctl", "cgroupfs", "v1", v1("/default/" + testID), map[string]string{nerdFile: `{"annotations":{"nerdctl/name":"cache"}}`}, "cache", inContainer("containerd", "cache", cri)},
		{"LXC", "—", "v2", v2("/lxc.payload.web1/system.slice/nginx.service"), nil, "web1/nginx", lxc("nginx")},
		{"LXC", "—", "v1", v1("/lxc/web1"), nil, "web1", lxc("")},
		{"any, files of the runtime not readable", "systemd", "v2", v2(slice + "cri-containerd-" + testID + ".scope"), map[string]string{logFile: ""}, "shop/api", inPod("containerd", "/"+logDir)},
		{"any, only the pod's logs", "cgroupfs", "v2", v2(plain + testID), map[string]string{podLog: ""}, "shop/api", podOnly},
		{"unknown", "cgroupfs", "v1", v1("/custom/" + testID), nil, "server-8080", Names{Origin: events.Origin{ContainerID: testID}}},
		{"none", "systemd", "v2", v2("/system.slice/nginx.service"), nil, "nginx", Names{Unit: "nginx"}},
		{"none", "—", "v1", v1("/"), nil, "server-8080", Names{}},
	}
}

func (l layout) String() string { return l.runtime + " " + l.driver + " " + l.version }

// hostRoot makes the files of the layout.
func (l layout) hostRoot(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range l.files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// found looks a container up as a worker does.
func found(r *Resolver, cgroup string) Names {
	j := job{group: parseGroup([]byte(cgroup)), judge: true}
	j.names.takeGroup(j.group)
	proc := newProcReader("")
	r.lookups.lookUp(&proc, &j)
	return j.names
}

func TestLayouts(t *testing.T) {
	for _, l := range layouts() {
		t.Run(l.String(), func(t *testing.T) {
			proc, root := newFakeProc(t), l.hostRoot(t)
			r := newResolver(t, Options{ProcRoot: proc.root, HostRoot: root})
			want := l.want
			want.Cgroup = parseGroup([]byte(l.cgroup)).path // TestPathOfGroup has its rules
			if diff := cmp.Diff(want, found(r, l.cgroup)); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			proc.start(fakeProcess{pid: 7, start: 1, exe: "/server", cgroup: l.cgroup})
			l.check(t, resolve(t, r, 7, 8080, "comm", at(0)))
		})
	}
}

func (l layout) check(t *testing.T, got *Name) {
	t.Helper()
	if got.Service != l.service {
		t.Errorf("service %q, want %q", got.Service, l.service)
	}
	origin := events.Origin{}
	if got.Origin != nil {
		origin = *got.Origin
	}
	if diff := cmp.Diff(l.want.Origin, origin); diff != "" {
		t.Errorf("origin (-want +got):\n%s", diff)
	}
}

// The table in docs/workloads.md says what TestLayouts checks.
func TestLayoutTable(t *testing.T) {
	const doc, begin, end = "../../docs/workloads.md", "<!-- layouts -->\n", "<!-- end of layouts -->"
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", doc)
	}
	var b strings.Builder
	b.WriteString(before + begin)
	b.WriteString("| runtime | driver | cgroups | service | container | pod | namespace | workload | from |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, l := range layouts() {
		o := l.want.Origin
		cells := []string{l.runtime, l.driver, l.version, l.service, o.Container, o.Pod, o.Namespace, o.Workload, l.want.Source}
		for i, c := range cells {
			if cells[i] = c; c == "" {
				cells[i] = "—"
			}
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	b.WriteString(end + after)
	testutil.Golden(t, filepath.Join("..", doc), []byte(b.String()))
}
