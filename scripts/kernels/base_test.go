// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/scripts/kernels/result"
)

func guestWith(release string, instructions int) guest {
	return guest{release: release, checks: []result.Check{
		{Kind: "load", Source: "socket", Detail: "full", Unsupported: true},
		{Kind: "load", Source: "syscall", Detail: "full", Got: "full", Programs: []result.Program{{Name: "http_sys_exit", Instructions: instructions}}},
		{Kind: "load", Source: "syscall", Detail: "basic", Got: "off", Programs: []result.Program{{Name: "http_sys_exit", Instructions: 1}}},
		{Kind: "trace", Source: "syscall", Detail: "full", Requests: 200, Timed: 200},
	}}
}

// What is written is what is compared with, in the report as it is committed.
func TestReportIsTheBase(t *testing.T) {
	committed, err := os.ReadFile(filepath.Join("..", "..", "docs", "kernels.md"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kernels.md")
	if err := os.WriteFile(path, committed, 0o644); err != nil {
		t.Fatal(err)
	}
	old, err := readBase(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.write(path, "arm64", []guest{guestWith("5.10.0-46", 1000), guestWith("6.1.0-56", 2000)}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	b, err := readBase(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]int{"http_sys_exit full": {"5.10": 1000, "6.1": 2000}}
	if diff := cmp.Diff(want, b.instructions["arm64"]); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(old.instructions["amd64"], b.instructions["amd64"]); diff != "" {
		t.Errorf("the other architecture's part (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		name string
		g    guest
		want int
	}{
		{"as it was", guestWith("5.10.0-46", 1000), 0},
		{"a fifth more", guestWith("5.10.300", 1200), 0},
		{"too much", guestWith("5.10.300", 1201), 1},
		{"of its own series", guestWith("6.1.300", 2400), 0},
		{"a new series", guestWith("9.9.9", 100_000), 0},
	} {
		if problems := b.compare("arm64", tt.g); len(problems) != tt.want {
			t.Errorf("%s: %v", tt.name, problems)
		}
	}
}

func TestReadBaseRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.md")
	if _, err := readBase(path); err == nil {
		t.Error("read a report that is not there")
	}
	if err := os.WriteFile(path, []byte("# Kernels\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readBase(path); err == nil || !strings.Contains(err.Error(), "no part") {
		t.Errorf("error %v", err)
	}
}

// The image's path in lists of packages, old layout and new.
func TestImagePath(t *testing.T) {
	for list, want := range map[string]string{
		"-rw-r--r-- root/root 106283 2026-07-31 09:44 ./boot/config-5.10.0-46-cloud-amd64\n-rw-r--r-- root/root 12196192 2026-07-31 09:44 ./boot/vmlinuz-5.10.0-46-cloud-amd64\n": "./boot/vmlinuz-5.10.0-46-cloud-amd64",
		"-rw-r--r-- root/root 13965248 2026-11-15 22:30 ./usr/lib/modules/7.3.4+deb13-cloud-amd64/vmlinuz\n":                                                                      "./usr/lib/modules/7.3.4+deb13-cloud-amd64/vmlinuz",
		"drwxr-xr-x root/root 0 2026-11-15 22:30 ./usr/share/doc/linux-image-7.3.4+deb13-cloud-amd64/\n":                                                                          "",
	} {
		if got := imagePath.FindString(list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The format as the kernel documents it: 13 numbers of 8 hexadecimal digits, the
// name, the content, both filled up to 4 bytes. That a kernel takes it is seen
// when one boots.
func TestArchive(t *testing.T) {
	var archive bytes.Buffer
	addFile(&archive, 1, "init", 0o100755, []byte("hello"))
	addFile(&archive, 2, "e", 0o100644, nil)
	zeros := func(n int) string { return strings.Repeat("00000000", n) }
	want := "070701" + "00000001" + "000081ed" + zeros(2) + "00000001" + zeros(1) + "00000005" + zeros(4) + "00000005" + zeros(1) +
		"init\x00\x00" + "hello\x00\x00\x00" +
		"070701" + "00000002" + "000081a4" + zeros(2) + "00000001" + zeros(1) + "00000000" + zeros(4) + "00000002" + zeros(1) +
		"e\x00"
	if diff := cmp.Diff(want, archive.String()); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
}
