// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	sigsyaml "sigs.k8s.io/yaml"
)

// kubeVersion is told to helm, which cannot ask a cluster.
const kubeVersion = "1.33.0"

// serviceMonitor is what the chart uses of Prometheus Operator's type.
type serviceMonitor struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name, Namespace string
		Labels          map[string]string
	} `json:"metadata"`
	Spec struct {
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
		Endpoints []struct{ Port, Interval string } `json:"endpoints"`
	} `json:"spec"`
}

// decode reads every document strictly: an unknown or doubled field fails.
func decode(t *testing.T, manifest []byte) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifest)))
	var objects []runtime.Object
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(document, []byte("monitoring.coreos.com/")) {
			var m serviceMonitor
			if err := sigsyaml.UnmarshalStrict(document, &m); err != nil || len(m.Spec.Endpoints) != 1 {
				t.Errorf("%+v, %v in\n%s", m, err, document)
			}
			continue
		}
		if len(comments.ReplaceAll(bytes.TrimSpace(document), nil)) == 0 {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		objects = append(objects, object)
	}
	if len(objects) == 0 {
		t.Fatal("no objects")
	}
	return objects
}

var comments = regexp.MustCompile(`(?m)^#.*\n?|^---\n?`)

func daemonSet(t *testing.T, manifest []byte) *appsv1.DaemonSet {
	t.Helper()
	var found *appsv1.DaemonSet
	for _, object := range decode(t, manifest) {
		if d, is := object.(*appsv1.DaemonSet); is {
			found = d
		}
	}
	if found == nil {
		t.Fatal("no DaemonSet")
	}
	return found
}

func flat(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../kubernetes/daemonset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func kustomized(t *testing.T, dir string) []byte {
	t.Helper()
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := result.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func helm(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"tool", "helm"}, args...)...)
	out, err := cmd.Output()
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		return out, errors.New(string(exit.Stderr))
	}
	return out, err
}

func rendered(t *testing.T, values ...string) []byte {
	t.Helper()
	out, err := helm(t, append([]string{"template", "probe", "../helm/probe", "--namespace", "probe", "--kube-version", kubeVersion}, values...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// variants are all ways to get a DaemonSet.
func variants(t *testing.T) map[string]*appsv1.DaemonSet {
	return map[string]*appsv1.DaemonSet{
		"daemonset.yaml":            daemonSet(t, flat(t)),
		"kustomize base":            daemonSet(t, kustomized(t, "../kustomize/base")),
		"kustomize least privilege": daemonSet(t, kustomized(t, "../kustomize/least-privilege")),
		"helm":                      daemonSet(t, rendered(t)),
		"helm least privilege":      daemonSet(t, rendered(t, "--set", "privileged=false")),
		"helm with everything": daemonSet(t, rendered(t, "--set", "statsd.host=statsd.monitoring,statsd.port=9125,statsd.dialect=dogstatsd,statsd.prefix=web",
			"--set", "statsd.tags.env=prod,statsd.tags.team=a,config.role=both,config.detail=full,serviceMonitor.enabled=true,serviceMonitor.labels.x=y",
			"--set", "hostNetwork=true,priorityClassName=system-node-critical,nodeSelector.a=b,extraArgs[0]=--log-level=debug,imagePullSecrets[0].name=s",
			"--set", "extraEnv[0].name=X,extraEnv[0].value=y,podAnnotations.c=d,podLabels.e=f,stateDir=")),
	}
}

// What every variant must have.
func TestDaemonSets(t *testing.T) {
	for name, d := range variants(t) {
		t.Run(name, func(t *testing.T) {
			pod := d.Spec.Template.Spec
			if !pod.HostPID || d.Namespace != "probe" || len(pod.Containers) != 1 {
				t.Fatalf("hostPID %v, namespace %q, %d containers", pod.HostPID, d.Namespace, len(pod.Containers))
			}
			if len(pod.Tolerations) != 1 || pod.Tolerations[0].Operator != corev1.TolerationOpExists {
				t.Errorf("tolerations %v", pod.Tolerations)
			}
			update := d.Spec.UpdateStrategy
			if update.Type != appsv1.RollingUpdateDaemonSetStrategyType || update.RollingUpdate.MaxSurge.IntValue() != 0 {
				t.Errorf("update strategy %+v, want no surge", update)
			}
			for key, value := range d.Spec.Selector.MatchLabels {
				if d.Spec.Template.Labels[key] != value {
					t.Errorf("the selector wants %s=%s, the pod has %q", key, value, d.Spec.Template.Labels[key])
				}
			}
			checkContainer(t, pod.Containers[0])
			checkVolumes(t, pod)
		})
	}
}

func checkContainer(t *testing.T, c corev1.Container) {
	t.Helper()
	from := map[string]string{}
	for _, e := range c.Env {
		if e.ValueFrom != nil {
			from[e.Name] = e.ValueFrom.FieldRef.FieldPath
		} else {
			from[e.Name] = e.Value
		}
	}
	if from["NODE_NAME"] != "spec.nodeName" || from["NODE_IP"] != "status.hostIP" || from["HOST_SYS"] != "/host/sys" || from["HOST_ROOT"] != "/host" {
		t.Errorf("environment %v", from)
	}
	if from["STATSD_HOST"] != "status.hostIP" && from["STATSD_HOST"] != "statsd.monitoring" {
		t.Errorf("STATSD_HOST %q", from["STATSD_HOST"])
	}
	for path, probe := range map[string]*corev1.Probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != c.Ports[0].Name {
			t.Errorf("probe of %s: %+v", path, probe)
		}
	}
	if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
		t.Errorf("resources %+v", c.Resources)
	}
	if c.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError {
		t.Errorf("termination message policy %q", c.TerminationMessagePolicy)
	}
	if s := c.SecurityContext; s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.Privileged == nil {
		t.Errorf("security context %+v", s)
	}
}

// Of the host, only the agent's own two directories can be written.
func checkVolumes(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	paths := map[string]string{}
	for _, v := range pod.Volumes {
		if v.HostPath != nil {
			paths[v.Name] = v.HostPath.Path
		}
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		own := paths[m.Name] == "/run/probe" || paths[m.Name] == "/var/lib/probe"
		if m.ReadOnly == own {
			t.Errorf("%s (%s): read-only %v", m.Name, paths[m.Name], m.ReadOnly)
		}
	}
	if !slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/run/probe" }) {
		t.Error("two agents cannot know of each other: /run/probe is not the host's")
	}
}

// The least-privilege variants have the capabilities of the service file, which
// are tested there, and nothing else.
func TestLeastPrivilege(t *testing.T) {
	unit, err := os.ReadFile("../systemd/probe.service")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(string(unit))
	if match == nil {
		t.Fatal("the service file does not bound its capabilities")
	}
	want := strings.Fields(strings.ReplaceAll(match[1], "CAP_", ""))
	for name, d := range variants(t) {
		if !strings.Contains(name, "least privilege") {
			continue
		}
		s := d.Spec.Template.Spec.Containers[0].SecurityContext
		var got []string
		for _, c := range s.Capabilities.Add {
			got = append(got, string(c))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: capabilities (-want +got):\n%s", name, diff)
		}
		if *s.Privileged || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || s.SeccompProfile == nil || *s.RunAsUser != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// The chart and the flat manifest say the same of the pod.
func TestChartLikeManifest(t *testing.T) {
	one, other := daemonSet(t, flat(t)).Spec.Template.Spec, daemonSet(t, rendered(t)).Spec.Template.Spec
	other.Containers[0].Args = slices.DeleteFunc(other.Containers[0].Args, func(a string) bool { return a == "--statsd-dialect=plain" })
	one.Containers[0].Args = slices.DeleteFunc(one.Containers[0].Args, func(a string) bool { return a == "--log-format=json" })
	other.Containers[0].Env = slices.DeleteFunc(other.Containers[0].Env, func(e corev1.EnvVar) bool { return e.Name == "STATSD_PROTOCOL" })
	if diff := cmp.Diff(one, other); diff != "" {
		t.Errorf("pod (-daemonset.yaml +chart):\n%s", diff)
	}
}

// Names and values that YAML takes for something else than text, and those that
// are no label, give what the API takes.
func TestChartOddValues(t *testing.T) {
	tag := "v1.2-rc@sha256:" + strings.Repeat("a", 64)
	out, err := helm(t, "template", "123", "../helm/probe", "--namespace", "456", "--kube-version", kubeVersion,
		"--set-string", "priorityClassName=1000,serviceAccount.name=1e3,image.tag="+tag, "--set", "stateDir=/data #1,config.role=both",
		"--set", "serviceMonitor.enabled=true,serviceMonitor.interval=")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "interval:") {
		t.Error("an interval of null")
	}
	d := daemonSet(t, out)
	pod := d.Spec.Template.Spec
	if d.Namespace != "456" || pod.PriorityClassName != "1000" || pod.ServiceAccountName != "1e3" || pod.Containers[0].Image != "probe:"+tag {
		t.Errorf("namespace %q, priority %q, account %q, image %q", d.Namespace, pod.PriorityClassName, pod.ServiceAccountName, pod.Containers[0].Image)
	}
	if !slices.Contains(pod.Containers[0].Args, "--state-dir=/data #1") {
		t.Errorf("arguments %q", pod.Containers[0].Args)
	}
	for _, tag := range []string{tag, "v1-", strings.Repeat("a", 62) + "-" + strings.Repeat("b", 65)} {
		for key, value := range daemonSet(t, rendered(t, "--set", "image.tag="+tag)).Spec.Template.Labels {
			if wrong := validation.IsValidLabelValue(value); wrong != nil {
				t.Errorf("label %s=%q: %v", key, value, wrong)
			}
		}
	}
}

// With kubelet=true the pod has what --kubelet needs: an address, a token and the
// right to ask. Without it, it has no token.
func TestChartKubelet(t *testing.T) {
	out := rendered(t, "--set", "kubelet=true")
	pod := daemonSet(t, out).Spec.Template.Spec
	if !slices.Contains(pod.Containers[0].Args, "--kubelet") || !*pod.AutomountServiceAccountToken {
		t.Errorf("arguments %q, token %v", pod.Containers[0].Args, *pod.AutomountServiceAccountToken)
	}
	roles := map[string]*rbacv1.ClusterRole{}
	var bindings []*rbacv1.ClusterRoleBinding
	for _, object := range decode(t, out) {
		switch o := object.(type) {
		case *rbacv1.ClusterRole:
			roles[o.Name] = o
		case *rbacv1.ClusterRoleBinding:
			bindings = append(bindings, o)
		}
	}
	if len(bindings) != 1 || len(bindings[0].Subjects) != 1 || roles[bindings[0].RoleRef.Name] == nil {
		t.Fatalf("roles %v, bindings %v", roles, bindings)
	}
	want := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes/proxy"}, Verbs: []string{"get"}}}
	if diff := cmp.Diff(want, roles[bindings[0].RoleRef.Name].Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if s := bindings[0].Subjects[0]; s.Name != pod.ServiceAccountName || s.Namespace != "probe" {
		t.Errorf("bound to %+v, the pod runs as %q", s, pod.ServiceAccountName)
	}
	if *daemonSet(t, rendered(t)).Spec.Template.Spec.AutomountServiceAccountToken {
		t.Error("a token for nothing")
	}
}

func TestChartLint(t *testing.T) {
	for _, values := range [][]string{nil, {"--set", "privileged=false"}, {"--set", "serviceMonitor.enabled=true,config.role=both"}} {
		if out, err := helm(t, append([]string{"lint", "--strict", "--kube-version", kubeVersion, "../helm/probe"}, values...)...); err != nil {
			t.Errorf("%v: %v\n%s", values, err, out)
		}
	}
}

// A value that the chart does not have is an error, not a surprise.
func TestChartRefuses(t *testing.T) {
	for _, value := range []string{"statsd.hosts=x", "privilegd=false", "statsd.port=0", "statsd.protocol=carrier-pigeon", "port=80"} {
		_, err := helm(t, "template", "probe", "../helm/probe", "--kube-version", kubeVersion, "--set", value)
		if err == nil || !strings.Contains(err.Error(), "schema") {
			t.Errorf("%s: %v, want a word about the schema", value, err)
		}
	}
}

// A strict decoder that accepts anything would prove nothing.
func TestDecoderIsStrict(t *testing.T) {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, change := range []string{"hostPIDs: true", "hostPID: true\n      hostPID: true"} {
		text := strings.Replace(string(flat(t)), "hostPID: true", change, 1)
		if _, _, err := decoder.Decode([]byte(text[strings.LastIndex(text, "---\n"):]), nil, nil); err == nil {
			t.Errorf("%q was accepted", change)
		}
	}
}

// Every manifest is covered by the tests above.
func TestNoStrayManifests(t *testing.T) {
	var found []string
	for _, pattern := range []string{"../kubernetes/*.yaml", "../kustomize/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, files...)
	}
	want := []string{"../kubernetes/daemonset.yaml", "../kubernetes/kustomization.yaml", "../kustomize/base/kustomization.yaml",
		"../kustomize/least-privilege/kustomization.yaml", "../kustomize/least-privilege/security-context.yaml"}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("manifests (-want +got):\n%s", diff)
	}
}
