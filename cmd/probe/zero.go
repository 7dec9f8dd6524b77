// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"probe/internal/agent"
)

// notZero are settings for which 0 is the default in the library, and what is
// allowed. Whoever sets one to 0 means something else.
var notZero = map[string]string{
	"capture-bytes":         "64 to 512",
	"ring-bytes":            "a power of two from 4096 to 1 GiB",
	"queue-bytes":           "at least 262144",
	"queue-age":             "a positive duration",
	"spool-bytes":           "at least 1048576",
	"max-used-cpu-ratio":    "above 0 to 1",
	"max-used-memory-ratio": "above 0 to 1",
	"max-event-loop-delay":  "a positive duration",
	"max-client-errors":     "1 or more",
}

// refuseZero reports the first of them that was set to 0, wherever.
func refuseZero(f *pflag.FlagSet) error {
	var first error
	f.Visit(func(flag *pflag.Flag) {
		want, listed := notZero[flag.Name]
		value := flag.Value.String()
		if number := strings.TrimSuffix(strings.TrimPrefix(value, "-"), "s"); listed && number == "0" && first == nil {
			first = fmt.Errorf("%w: %s %s: want %s", agent.ErrUsage, flag.Name, value, want)
		}
	})
	return first
}
