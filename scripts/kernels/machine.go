// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"probe/scripts/kernels/result"
)

// machine is a kind of computer that QEMU emulates.
type machine struct {
	program string
	args    []string
	console string // its serial port, as the kernel calls it
}

func machineOf(arch string) (machine, error) {
	switch arch {
	case "amd64":
		return machine{"qemu-system-x86_64", []string{"-cpu", "max"}, "ttyS0"}, nil
	case "arm64":
		// The pointer authentication of "max" costs half of an emulated CPU.
		return machine{"qemu-system-aarch64", []string{"-machine", "virt", "-cpu", "cortex-a72"}, "ttyAMA0"}, nil
	}
	return machine{}, fmt.Errorf("unknown architecture %q: want amd64 or arm64", arch)
}

// boot runs a kernel until its init restarts the machine, which ends QEMU, as a
// panic does. Returns what was written to the serial port.
func (m machine) boot(ctx context.Context, kernel, initrd, dir, only string) (string, error) {
	console := filepath.Join(dir, "console")
	line := "console=" + m.console + " quiet panic=-1"
	if only != "" {
		line += " " + result.OnlyEnv + "=" + only
	}
	args := append([]string{
		"-accel", "tcg", "-smp", "2", "-m", "1024", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", kernel, "-initrd", initrd, "-append", line, "-serial", "file:" + console,
	}, m.args...)
	cmd := exec.CommandContext(ctx, m.program, args...)
	out, err := cmd.CombinedOutput()
	text, readErr := os.ReadFile(console)
	if err != nil && ctx.Err() != nil {
		return "", fmt.Errorf("the guest does not end (%w); its last words:\n%s", ctx.Err(), tail(string(text), 2000))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", m.program, err, out)
	}
	return string(text), errors.Join(readErr)
}
