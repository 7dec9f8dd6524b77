// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Where runtimes keep the files of a container, below the root of the host.
var (
	// taskDirs have a directory per containerd namespace, and in it one per
	// container: containerd itself, k3s and RKE2, MicroK8s.
	taskDirs = [...]string{
		"run/containerd/io.containerd.runtime.v2.task",
		"run/k3s/containerd/io.containerd.runtime.v2.task",
		"var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
	}
	// storageDirs are of containers/storage: CRI-O, Podman.
	storageDirs = [...]string{
		"run/containers/storage/overlay-containers",
		"var/lib/containers/storage/overlay-containers",
		"var/lib/containers/storage/vfs-containers",
	}
)

const (
	dockerDir  = "var/lib/docker/containers"
	logDir     = "var/log/containers"
	podLogsDir = "var/log/pods"
)

// hostFiles reads the files of runtimes. It may block for as long as a file
// system does.
type hostFiles struct{ root string }

// source is one way to learn the names of a container.
type source struct {
	runtime string // "" is for all
	read    func(hostFiles, group) (details, error)
}

// sources in the order in which they are asked.
var sources = [...]source{
	{runtimeDocker, hostFiles.docker},
	{runtimeCRIO, hostFiles.storageConfig},
	{runtimeContainerd, hostFiles.task},
	{runtimePodman, hostFiles.storageNames},
	{"", hostFiles.logLink},
	{"", hostFiles.podLogs},
}

// container asks the sources of its runtime, all of them where the cgroup path
// does not tell the runtime. The error is that of the last one that had a
// reason other than that a file is not there, or fs.ErrNotExist.
func (f hostFiles) container(g group) (details, error) {
	if g.runtime == runtimeLXC {
		return details{name: bounded(g.containerID), source: "cgroup path"}, nil
	}
	failed := fs.ErrNotExist
	for _, s := range sources {
		if g.runtime != "" && s.runtime != "" && s.runtime != g.runtime {
			continue
		}
		d, err := s.read(f, g)
		if err == nil {
			if d.runtime = g.runtime; d.runtime == "" {
				d.runtime = s.runtime
			}
			return d, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNoNames) {
			failed = err
		}
	}
	return details{}, failed
}

func (f hostFiles) docker(g group) (details, error) {
	path := filepath.Join(dockerDir, g.containerID, "config.v2.json")
	return f.parsed(path, "Docker config.v2.json", parseDockerConfig)
}

func (f hostFiles) storageConfig(g group) (details, error) {
	return f.first(storageDirs[:], func(dir string) (details, error) {
		path := filepath.Join(dir, g.containerID, "userdata", "config.json")
		return f.parsed(path, "CRI-O config.json", parseOCIConfig)
	})
}

func (f hostFiles) storageNames(g group) (details, error) {
	return f.first(storageDirs[:], func(dir string) (details, error) {
		return f.parsed(filepath.Join(dir, "containers.json"), "containers.json", func(data []byte) (details, error) {
			return parseStorage(data, g.containerID)
		})
	})
}

func (f hostFiles) task(g group) (details, error) {
	return f.first(taskDirs[:], func(dir string) (details, error) {
		namespaces, err := f.list(dir)
		if err != nil {
			return details{}, err
		}
		return f.first(namespaces, func(namespace string) (details, error) {
			path := filepath.Join(dir, namespace, g.containerID, "config.json")
			return f.parsed(path, "containerd config.json", parseOCIConfig)
		})
	})
}

func (f hostFiles) logLink(g group) (details, error) {
	return f.inNames(logDir, func(name string) (details, bool) { return parseLogName(name, g.containerID) })
}

// podLogs knows the pod, and the container of a pod that has one only.
func (f hostFiles) podLogs(g group) (details, error) {
	var dir string
	d, err := f.inNames(podLogsDir, func(name string) (details, bool) {
		d, ok := parsePodDir(name, g.podUID)
		dir = name
		return d, ok
	})
	if err != nil {
		return details{}, err
	}
	if names, err := f.list(filepath.Join(podLogsDir, dir)); err == nil && len(names) == 1 {
		d.name = bounded(names[0])
	}
	return d, nil
}

// first is the first directory that knows the names.
func (f hostFiles) first(dirs []string, read func(string) (details, error)) (details, error) {
	failed := fs.ErrNotExist
	for _, dir := range dirs {
		d, err := read(dir)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			failed = err
		}
	}
	return details{}, failed
}

// inNames looks for the names in the names of a directory's entries.
func (f hostFiles) inNames(dir string, parse func(string) (details, bool)) (details, error) {
	names, err := f.list(dir)
	if err != nil {
		return details{}, err
	}
	for _, name := range names {
		if d, ok := parse(name); ok {
			d.source = "/" + dir
			return d, nil
		}
	}
	return details{}, fs.ErrNotExist
}

// list returns at most maxDirEntries names.
func (f hostFiles) list(dir string) ([]string, error) {
	open, err := os.OpenFile(filepath.Join(f.root, dir), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	names, err := open.Readdirnames(maxDirEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return names, nil
}

func (f hostFiles) parsed(path, source string, parse func([]byte) (details, error)) (details, error) {
	data, err := f.read(path)
	if err != nil {
		return details{}, err
	}
	d, err := parse(data)
	d.source = source
	return d, err
}

var (
	errTooLarge   = errors.New("the file is too large")
	errNotRegular = errors.New("not a regular file")
)

// read refuses what is not a regular file: the opening of a pipe, and the
// reading of a device, could wait forever.
func (f hostFiles) read(path string) ([]byte, error) {
	open, err := os.OpenFile(filepath.Join(f.root, path), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	info, err := open.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	data, err := io.ReadAll(io.LimitReader(open, maxRuntimeFileBytes+1))
	if err == nil && len(data) > maxRuntimeFileBytes {
		err = errTooLarge
	}
	return data, err
}
