// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// worker is another process that serves connections it did not accept.
type worker struct {
	cmd *exec.Cmd
	fd  int // of the player's end of a Unix socket
}

// What a worker is told along with a descriptor.
const (
	workerServe = 's' // read a request, answer it, close
	workerDie   = 'd' // read a request, then end by SIGKILL
)

// workerInput is the worker's descriptor of that socket.
const workerInput = 3

func startWorker() *worker {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must("socketpair", err)
	peer := os.NewFile(uintptr(fds[1]), "worker")
	// Argument 0 is the link that gave the player its name.
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+childWorker)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{peer}
	must("start worker", cmd.Start())
	must("close", peer.Close())
	return &worker{cmd: cmd, fd: fds[0]}
}

func (w *worker) stop() {
	unix.Close(w.fd)
	w.cmd.Wait()
}

// pass hands the end over to the worker and waits until it is done with it.
func (w *worker) pass(e *end, what byte) {
	must("pass descriptor", unix.Sendmsg(w.fd, []byte{what}, unix.UnixRights(e.fd), nil, 0))
	e.close()
	if what == workerDie {
		w.cmd.Wait()
		unix.Close(w.fd)
		*w = *startWorker()
		return
	}
	if n, err := unix.Read(w.fd, make([]byte, 1)); n != 1 {
		fail("worker: %v", err)
	}
}

// workerAnswer is what a worker says to everything.
func workerAnswer() string { return answerOf(200, "from the worker") }

// workerMain is the worker: it serves until the player closes the socket.
func workerMain() int {
	for {
		text, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
		n, oobn, _, _, err := unix.Recvmsg(workerInput, text, oob, 0)
		if n == 0 || err != nil {
			return 0
		}
		if err := workerStep(text[0], oob[:oobn]); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			return 1
		}
	}
}

func workerStep(what byte, oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("control messages %v: %w", messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	if _, err := unix.Read(fds[0], make([]byte, 4096)); err != nil {
		return err
	}
	if what == workerDie {
		return unix.Kill(os.Getpid(), unix.SIGKILL)
	}
	if _, err := unix.Write(fds[0], []byte(workerAnswer())); err != nil {
		return err
	}
	if err := unix.Close(fds[0]); err != nil {
		return err
	}
	_, err = unix.Write(workerInput, []byte{'.'})
	return err
}
