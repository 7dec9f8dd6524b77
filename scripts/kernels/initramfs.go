// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// buildInitramfs makes an initramfs of two static binaries: /init, which is the
// package guest, and /probe.
func buildInitramfs(ctx context.Context, arch, to string) error {
	dir, err := os.MkdirTemp("", "probe-initramfs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var archive bytes.Buffer
	for i, b := range []struct{ name, pkg string }{{"init", "./scripts/kernels/guest"}, {"probe", "./cmd/probe"}} {
		path := filepath.Join(dir, b.name)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, b.pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build %s: %w", b.name, err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		addFile(&archive, i+1, b.name, 0o100755, content)
	}
	addFile(&archive, 0, "TRAILER!!!", 0, nil)
	if err := os.WriteFile(to, archive.Bytes(), 0o644); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// addFile writes one entry of a cpio archive in the format "newc", which is what
// the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
func addFile(to *bytes.Buffer, inode int, name string, mode uint32, content []byte) {
	links := 1
	fmt.Fprintf(to, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	to.WriteString(name)
	to.WriteByte(0)
	align(to)
	to.Write(content)
	align(to)
}

func align(to *bytes.Buffer) {
	for to.Len()%4 != 0 {
		to.WriteByte(0)
	}
}
