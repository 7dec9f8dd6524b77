// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// kept is a file that stays open from look to look: to open and close one of a
// control group takes five times as long as to read it (BenchmarkReadGroup).
// An open file does not keep its group alive. The zero value is a file that is
// not there.
type kept struct {
	path string
	file int // plus one: 0 is not open
}

// read returns the first bytes of the file, as many as buf holds, valid until
// buf is used again. A file that cannot be read is opened anew, once: another
// group may have come by the path.
func (k *kept) read(buf []byte, keep bool) ([]byte, error) {
	if k.path == "" {
		return nil, unix.ENOENT
	}
	if k.file != 0 {
		if n, err := pread(k.file-1, buf); err == nil {
			return buf[:n], nil
		}
		k.close()
	}
	fd, err := openFile(k.path)
	if err != nil {
		return nil, err
	}
	k.file = fd + 1
	n, err := pread(fd, buf)
	if err != nil || !keep {
		k.close()
	}
	return buf[:n], err
}

func (k *kept) close() {
	if k.file != 0 {
		unix.Close(k.file - 1)
		k.file = 0
	}
}

// adopt takes over the open file of another look's kept, if it is the same one.
func (k *kept) adopt(from *kept) {
	if k.path == from.path && k.file == 0 {
		k.file, from.file = from.file, 0
	}
}

// readFile returns the first bytes of a file, as many as buf holds.
func readFile(path string, buf []byte) ([]byte, error) {
	once := kept{path: path}
	return once.read(buf, false)
}

func openFile(path string) (fd int, err error) {
	for {
		if fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}

func pread(fd int, buf []byte) (n int, err error) {
	for {
		if n, err = unix.Pread(fd, buf, 0); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("read control group: %w", err)
	}
	return n, nil
}

// mayKeep reports whether the limit of open files leaves room for those of n
// groups, three times over.
func mayKeep(n int) bool {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return err == nil && limit.Cur/4 >= uint64(n)*uint64(groupFiles)
}
