// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestContainerFiles(t *testing.T) {
	docker := group{containerID: testID, runtime: runtimeDocker}
	tests := []struct {
		name string
		make func(path string) error
		want error
	}{
		{"missing", nil, fs.ErrNotExist},
		{"no JSON", func(p string) error { return os.WriteFile(p, []byte(`{"Name":"/web"`), 0o644) }, nil},
		{"other types", func(p string) error { return os.WriteFile(p, []byte(`{"Name":7}`), 0o644) }, nil},
		{"no names", func(p string) error { return os.WriteFile(p, []byte(`{"Name":"/"}`), 0o644) }, fs.ErrNotExist},
		{"too large", func(p string) error { return os.Truncate(touch(p), maxRuntimeFileBytes+1) }, errTooLarge},
		{"a pipe nobody writes to", func(p string) error { return syscall.Mkfifo(p, 0o644) }, errNotRegular},
		{"a directory", func(p string) error { return os.Mkdir(p, 0o755) }, errNotRegular},
		{"a link to itself", func(p string) error { return os.Symlink(p, p) }, syscall.ELOOP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, dockerCfg)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.make != nil {
				if err := tt.make(path); err != nil {
					t.Fatal(err)
				}
			}
			d, err := hostFiles{root}.container(docker)
			if err == nil || d != (details{}) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("container() = %+v, %v, want nothing and %v", d, err, tt.want)
			}
			if tt.want == nil && errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a broken file passes for a missing one: %v", err)
			}
		})
	}
}

// A pipe in place of a directory does not stall the worker that lists it.
func TestDirectoriesThatArePipes(t *testing.T) {
	for _, dir := range []string{logDir, podLogsDir, taskDirs[0], filepath.Join(taskDirs[0], "k8s.io"), filepath.Dir(taskFile)} {
		root := t.TempDir()
		path := filepath.Join(root, dir)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o644); err != nil {
			t.Fatal(err)
		}
		g := group{containerID: testID, podUID: testUID, runtime: runtimeContainerd}
		if d, err := (hostFiles{root}).container(g); err == nil || d != (details{}) {
			t.Errorf("%s: %+v, %v", dir, d, err)
		}
	}
}

func touch(path string) string {
	if f, err := os.Create(path); err == nil {
		f.Close()
	}
	return path
}

func TestLogNames(t *testing.T) {
	for name, want := range map[string]details{
		"shop-0_prod_api-" + testID + ".log":   {pod: "shop-0", namespace: "prod", name: "api"},
		"shop-0_prod_a-b-c-" + testID + ".log": {pod: "shop-0", namespace: "prod", name: "a-b-c"},
		"shop-0_prod-" + testID + ".log":       {},
		"_prod_api-" + testID + ".log":         {},
		"shop-0_prod_api-" + testID:            {},
		"a_b_c_d-" + testID + ".log":           {},
	} {
		if got, ok := parseLogName(name, testID); got != want || ok != (want != details{}) {
			t.Errorf("parseLogName(%q) = %+v, %v", name, got, ok)
		}
	}
	for name, want := range map[string]details{
		"prod_shop-0_" + testUID:   {pod: "shop-0", namespace: "prod", podUID: testUID},
		"prod_shop_0_" + testUID:   {},
		"prod_" + testUID:          {},
		"_shop-0_" + testUID:       {},
		"prod_shop-0_" + "another": {},
	} {
		if got, ok := parsePodDir(name, testUID); got != want || ok != (want != details{}) {
			t.Errorf("parsePodDir(%q) = %+v, %v", name, got, ok)
		}
	}
}

// Whatever is in the files, what comes out is bounded, and an error gives nothing.
func FuzzContainerFiles(f *testing.F) {
	for _, seed := range []string{criConfig, crioConfig, composeConfig, swarmConfig, plainConfig, kubeDocker, podmanConfig, storageJSON,
		`{"items":[{"metadata":{"name":"a","uid":"u"},"status":{"containerStatuses":[{"name":"c","containerID":"x://1"}]}}]}`} {
		f.Add([]byte(seed), "prod_shop-0_"+testUID, testUID)
		f.Add([]byte(seed), "shop-0_prod_api-"+testID+".log", testID)
	}
	f.Fuzz(func(t *testing.T, data []byte, name, id string) {
		check := func(parser string, d details, failed bool) {
			if failed && d != (details{}) {
				t.Errorf("%s: %+v with an error", parser, d)
			}
			if !failed && !d.known() {
				t.Errorf("%s: no names and no error", parser)
			}
			for _, s := range []string{d.name, d.pod, d.namespace, d.podUID, d.service, d.project, d.unit} {
				if len(s) > max(maxLabelBytes, len(id)) {
					t.Errorf("%s: %d bytes", parser, len(s))
				}
			}
		}
		d, err := parseOCIConfig(data)
		check("OCI", d, err != nil)
		d, err = parseDockerConfig(data)
		check("Docker", d, err != nil)
		d, err = parseStorage(data, id)
		check("storage", d, err != nil)
		d, ok := parseLogName(name, id)
		check("log name", d, !ok)
		d, ok = parsePodDir(name, id)
		check("pod directory", d, !ok)
		if pods, err := parsePods(data); err == nil {
			for _, d := range pods.byContainer {
				check("pods", *d, false)
			}
		}
		for _, s := range []string{name, id, string(data)} {
			if got := workloadOf(s); !strings.HasPrefix(s, got) || got == "" && s != "" {
				t.Errorf("workloadOf(%q) = %q", s, got)
			}
		}
	})
}
