// SPDX-License-Identifier: Apache-2.0

// Command guest is the first and only process that a kernel under test starts:
// the /init of the initramfs that scripts/kernels builds. It tries everything,
// prints results on the console and ends the machine.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"probe/pkg/loader"
	"probe/scripts/kernels/result"
)

// What this binary is told to be by its first argument; without one it is init.
const (
	argServer = "server"
	argClient = "client"
	argLoad   = "load" // SOURCE DETAIL
)

func main() {
	if len(os.Args) > 1 {
		if err := child(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "guest:", err)
			os.Exit(1)
		}
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is the init of a virtual machine; run scripts/kernels")
		os.Exit(2)
	}
	if err := tryAll(); err != nil {
		fmt.Println("guest:", err)
	}
	unix.Sync()
	// With -no-reboot this is how the machine goes off on every architecture.
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		fmt.Println("guest: restart:", err)
	}
}

func child(args []string) error {
	switch {
	case args[0] == argServer:
		return serve()
	case args[0] == argClient:
		return request(os.Stdout)
	case args[0] == argLoad && len(args) == 3:
		return json.NewEncoder(os.Stdout).Encode(load(loader.Source(args[1]), loader.Detail(args[2])))
	}
	return fmt.Errorf("unknown arguments %q", args)
}

// tryAll writes the end marker only when everything was tried.
func tryAll() error {
	if err := setUp(); err != nil {
		return err
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fmt.Errorf("read kernel release: %w", err)
	}
	err := result.Write(os.Stdout, result.Line{
		Release: unix.ByteSliceToString(uts.Release[:]),
		Machine: unix.ByteSliceToString(uts.Machine[:]),
	})
	if err != nil {
		return err
	}
	for _, check := range checks(os.Getenv(result.OnlyEnv)) {
		c := check()
		if err := result.Write(os.Stdout, result.Line{Check: &c}); err != nil {
			return err
		}
	}
	return result.Write(os.Stdout, result.Line{End: true})
}
