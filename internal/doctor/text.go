// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"probe/internal/terminal"
)

// WriteJSON writes the report as one indented object.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes a line per check; what is not fine is followed by its remedy.
func (r Report) WriteText(w io.Writer) error {
	width := 0
	for _, c := range r.Checks {
		width = max(width, len(c.Name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "probe %s on Linux %s, %s\n\n", r.Version, r.Kernel, r.Arch)
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-8s  %-*s  %s: %s\n", c.Status, width, c.Name, oneLine(c.Found), oneLine(c.Meaning))
		if c.Remedy != "" {
			fmt.Fprintf(&b, "%-8s  %-*s  fix: %s\n", "", width, "", oneLine(c.Remedy))
		}
	}
	fmt.Fprintf(&b, "\n%s: %d fine, %d degraded, %d broken. %s\n", r.Verdict, r.Count(Fine), r.Count(Degraded), r.Count(Broken), r.Verdict.means())
	_, err := io.WriteString(w, b.String())
	return err
}

// oneLine keeps what comes from files and errors on its line.
func oneLine(s string) string { return terminal.Visible(strings.Join(strings.Fields(s), " ")) }

func (s Status) means() string {
	switch s {
	case Fine:
		return "Everything works."
	case Degraded:
		return "probe works; something is not measured or not named."
	}
	return "probe does not work here as it is."
}
