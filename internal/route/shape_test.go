// SPDX-License-Identifier: Apache-2.0

package route

import "testing"

// The shapes by themselves, at their edges; what becomes of whole paths is in
// realPaths.
func TestShapes(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]struct {
		is      func([]byte) bool
		yes, no []string
	}{
		"IPv4": {
			isIPv4,
			[]string{"1.2.3.4", "0.0.0.0", "255.255.255.255", "010.0.0.1"},
			[]string{"", "1.2.3", "1.2.3.", ".1.2.3", "1..3.4", "1.2.3.4.5", "256.1.1.1", "1.2.3.0004", "1a2b3c4", "1.2.3.x"},
		},
		"version": {
			isVersion,
			[]string{"v1", "v2.1", "V3", "v1beta1", "v20240131", "v20240131abc"},
			[]string{"", "v", "vx", "1", "w1", "v20240131abcd"},
		},
		"key with a prefix": {
			isPrefixedKey,
			[]string{"sk_a1B2c3D4e5F6", "sk_live_a1B2c3D4e5F6"},
			[]string{"", "k_a1B2c3D4e5F6", "s1_a1B2c3D4e5F6", "sK_a1B2c3D4e5F6", "sk-live_a1B2c3D4e5F6", "sk_a1B2c3D4e5F", "sk_a1b2c3d4e5f6", "sk_livelive_a1B2c3D4e5F6"},
		},
	} {
		for want, all := range map[bool][]string{true: shape.yes, false: shape.no} {
			for _, s := range all {
				if got := shape.is([]byte(s)); got != want {
					t.Errorf("%q is of the shape %s: %v, want %v", s, name, got, want)
				}
			}
		}
	}
}
