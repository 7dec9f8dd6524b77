// SPDX-License-Identifier: Apache-2.0

// The program in the containers of the tests: it serves HTTP on the address of
// its argument until it is killed.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	handle := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "from a container") }
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], http.HandlerFunc(handle)))
}
