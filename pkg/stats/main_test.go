// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"testing"

	"probe/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }
