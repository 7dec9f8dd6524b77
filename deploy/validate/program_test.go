// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// nobody is a user without privileges on every Linux.
const nobody = 65534

// program is the binary that make build leaves.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/probe")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	return path
}

// requireRoot skips the test unless it runs as root; with PROBE_REQUIRE_BPF=1 it
// fails instead, as testutil.RequireRoot does in the module of the program.
func requireRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("PROBE_REQUIRE_BPF") == "1" {
		t.Fatalf("needs root to %s (PROBE_REQUIRE_BPF=1 forbids to skip)", why)
	}
	t.Skip("needs root to " + why)
}

// refusal runs the program as nobody: it gets as far as its settings allow, and
// is then refused. What it says, and its exit code.
func refusal(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	requireRoot(t, "become nobody")
	// The tree may be closed to nobody; a copy is not.
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "probe")
	if err := errors.Join(os.WriteFile(path, text, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Dir = env, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	var said bytes.Buffer
	cmd.Stderr = &said
	err = cmd.Run()
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		return said.String(), exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return said.String(), 0
}

// accepted fails if the program does not understand its settings.
func accepted(t *testing.T, name string, env []string, args ...string) {
	t.Helper()
	said, code := refusal(t, env, args...)
	if code != 1 || !strings.Contains(said, "CAP_BPF") {
		t.Errorf("%s: exit code %d, %s; want to be refused for want of privileges only", name, code, said)
	}
}

// The program understands what the manifests tell it.
func TestProgramAcceptsManifests(t *testing.T) {
	for name, d := range variants(t) {
		c := d.Spec.Template.Spec.Containers[0]
		var args []string
		for _, a := range c.Args {
			switch {
			case strings.HasPrefix(a, "--config="): // its text is another test's
			case strings.HasPrefix(a, "--state-dir="):
				args = append(args, "--state-dir=/tmp/probe-validate-state")
			case strings.HasPrefix(a, "--listen="):
				args = append(args, "--listen=:0")
			default:
				args = append(args, a)
			}
		}
		accepted(t, name, environment(c.Env), args...)
	}
	os.RemoveAll("/tmp/probe-validate-state")
}

func environment(vars []corev1.EnvVar) []string {
	var env []string
	for _, e := range vars {
		value := e.Value
		if e.ValueFrom != nil {
			value = map[string]string{"spec.nodeName": "node-1", "status.hostIP": "127.0.0.1"}[e.ValueFrom.FieldRef.FieldPath]
		}
		env = append(env, e.Name+"="+value)
	}
	return env
}

// It understands the settings of the service file, also those that are
// suggested in comments, and an unknown one is not taken for a good one.
func TestProgramAcceptsConfig(t *testing.T) {
	text, err := os.ReadFile("../systemd/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	suggested := bytes.ReplaceAll(text, []byte("\n# role:"), []byte("\nrole:"))
	suggested = bytes.ReplaceAll(suggested, []byte("\n# detail:"), []byte("\ndetail:"))
	suggested = bytes.ReplaceAll(suggested, []byte("\n# route:"), []byte("\nroute:"))
	suggested = bytes.ReplaceAll(suggested, []byte("\n#   - "), []byte("\n  - "))
	if bytes.Equal(text, suggested) {
		t.Fatal("nothing is suggested")
	}
	state := []string{"PROBE_STATE_DIR=", "PROBE_LISTEN="}
	for name, config := range map[string][]byte{"as shipped": text, "as suggested": suggested} {
		accepted(t, name, state, "run", "--config", writeConfig(t, config))
	}
	said, code := refusal(t, state, "run", "--config", writeConfig(t, append(text, "\nintervall: 1s\n"...)))
	if code != 2 || !strings.Contains(said, "intervall") {
		t.Errorf("unknown key: exit code %d, %s", code, said)
	}
}

func writeConfig(t *testing.T, text []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "config.yaml")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, text, 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

// The settings that the chart makes of its values are those of the program.
func TestProgramAcceptsChartConfig(t *testing.T) {
	out := rendered(t, "--set", "config.role=both,config.detail=full,config.route[0]=/a/*")
	for _, object := range decode(t, out) {
		if m, is := object.(*corev1.ConfigMap); is {
			accepted(t, "chart", nil, "run", "--config", writeConfig(t, []byte(m.Data["config.yaml"])))
			return
		}
	}
	t.Error("no ConfigMap")
}

// What checks the program is no part of it.
func TestProgramDependsOnNoTool(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "./cmd/probe")
	list.Dir = "../.."
	deps, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"k8s.io/", "helm.sh/", "goreleaser/", "sigs.k8s.io/"} {
		if strings.Contains(string(deps), tool) || strings.Contains(string(module), tool) {
			t.Errorf("the program's module depends on %s", tool)
		}
	}
	if !strings.Contains(string(deps), "probe/internal/agent\n") {
		t.Errorf("no list of dependencies: %.300s", deps)
	}
}
