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
	"regexp"
	"slices"
	"strings"
)

// distribution is where kernels come from.
type distribution struct {
	origin, label string // as its lists of packages say
	mirror        string // variable of the environment that names one
	keyring       string // signs every suite; install-kernel-deps.sh provides it
	kernel        string // package that depends on the newest one for virtual machines
}

func distributionOf(suite, arch string) distribution {
	if release, _, _ := strings.Cut(suite, "-"); release == "jammy" || release == "noble" {
		return distribution{
			origin: "Ubuntu", label: "Ubuntu", mirror: "UBUNTU_MIRROR",
			keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg", kernel: "linux-image-virtual",
		}
	}
	debian := distribution{
		origin: "Debian", label: "Debian", mirror: "DEBIAN_MIRROR",
		keyring: "/usr/share/keyrings/debian-archive-keyring.gpg", kernel: "linux-image-cloud-" + arch,
	}
	if strings.HasSuffix(suite, "-security") {
		debian.label, debian.mirror = "Debian-Security", "DEBIAN_SECURITY_MIRROR"
	}
	return debian
}

// fetchKernel leaves the newest cloud kernel of a suite in dir and returns the
// path of its image. Nothing is installed, and apt's own state is not touched.
func fetchKernel(ctx context.Context, arch, suite, dir string) (string, error) {
	from := distributionOf(suite, arch)
	apt, err := privateApt(ctx, from, arch, suite, dir)
	if err != nil {
		return "", err
	}
	names, err := imagePackages(ctx, apt, from.kernel)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if _, err := apt(ctx, "apt-get", "download", name); err != nil {
			return "", err
		}
		files, err := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
		if err != nil || len(files) == 0 {
			return "", errors.Join(fmt.Errorf("apt-get download %s left nothing", name), err)
		}
		slices.Sort(files)
		image, err := unpackImage(ctx, files[len(files)-1], dir)
		if image != "" || err != nil {
			return image, err
		}
	}
	return "", fmt.Errorf("no image in %s", strings.Join(names, ", "))
}

type aptFunc func(ctx context.Context, command string, args ...string) (string, error)

// privateApt returns a way to call apt that knows only this suite and keeps
// everything below dir.
func privateApt(ctx context.Context, from distribution, arch, suite, dir string) (aptFunc, error) {
	mirror, err := from.mirrorHere(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	list := filepath.Join(dir, "sources.list")
	source := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", from.keyring, mirror, suite)
	for file, text := range map[string]string{list: source, filepath.Join(dir, "status"): ""} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	settings := []string{
		"-o", "Dir::Etc::SourceList=" + list, "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::State::Lists=" + filepath.Join(dir, "lists"),
		"-o", "Dir::State::status=" + filepath.Join(dir, "status"),
		"-o", "Dir::Cache=" + dir, "-o", "APT::Architecture=" + arch, "-o", "APT::Architectures=" + arch,
		"-o", "APT::Sandbox::User=root", "-q",
	}
	apt := func(ctx context.Context, command string, args ...string) (string, error) {
		return output(ctx, dir, command, append(slices.Clone(settings), args...)...)
	}
	_, err = apt(ctx, "apt-get", "update")
	return apt, err
}

// mirrorHere is where this machine gets the distribution from, or what the
// environment says.
func (d distribution) mirrorHere(ctx context.Context) (string, error) {
	if mirror := os.Getenv(d.mirror); mirror != "" {
		return mirror, nil
	}
	out, err := output(ctx, ".", "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: "+d.origin, "Label: "+d.label)
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(strings.TrimSpace(out), "\n")
	if first == "" {
		return "", fmt.Errorf("apt knows no mirror of %s; set %s", d.label, d.mirror)
	}
	return first, nil
}

var dependsOn = regexp.MustCompile(`(?m)^\s*Depends: (linux-image-\d\S*)`)

// imagePackages are the packages that may hold the image: the one the
// meta-package depends on, and in Debian since 7.3 one beside it.
func imagePackages(ctx context.Context, apt aptFunc, meta string) ([]string, error) {
	out, err := apt(ctx, "apt-cache", "depends", meta)
	if err != nil {
		return nil, err
	}
	match := dependsOn.FindStringSubmatch(out)
	if match == nil {
		return nil, fmt.Errorf("%s depends on no image", meta)
	}
	binary := "linux-binary-" + strings.TrimPrefix(match[1], "linux-image-")
	known, err := apt(ctx, "apt-cache", "pkgnames", binary)
	if err != nil {
		return nil, err
	}
	if slices.Contains(strings.Fields(known), binary) {
		return []string{binary}, nil
	}
	return []string{match[1]}, nil
}

var imagePath = regexp.MustCompile(`(?m)(\./(?:boot/vmlinuz-\S+|\S*/vmlinuz))$`)

// unpackImage writes the kernel image of a package to dir; "" if it has none.
func unpackImage(ctx context.Context, deb, dir string) (string, error) {
	list, err := output(ctx, dir, "dpkg-deb", "--contents", deb)
	if err != nil {
		return "", err
	}
	match := imagePath.FindString(list)
	if match == "" {
		return "", nil
	}
	files, err := output(ctx, dir, "dpkg-deb", "--fsys-tarfile", deb)
	if err != nil {
		return "", err
	}
	tar := exec.CommandContext(ctx, "tar", "--extract", "--to-stdout", match)
	tar.Stdin = strings.NewReader(files)
	image, err := tar.Output()
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", match, err)
	}
	path := filepath.Join(dir, "vmlinuz")
	return path, os.WriteFile(path, image, 0o644)
}

// output runs a command; its error output is part of the error.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, tail(strings.TrimSpace(stderr.String()), 1000))
	}
	return stdout.String(), nil
}
