// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"os"
	"strings"
	"testing"

	"probe/pkg/export"
)

// The README's metric table is the one the program uses.
func TestReadmeMetrics(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := export.MetricTableMarkdown(); !strings.Contains(string(readme), want) {
		t.Errorf("README.md does not contain the current metric table; it should be:\n%s", want)
	}
}
