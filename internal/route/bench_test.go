// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

func BenchmarkTemplate(b *testing.B) {
	b.Run("cached", func(b *testing.B) {
		table := tableOf(b, Options{})
		target := []byte("/api/v1/users/12345/orders?page=2")
		b.ReportAllocs()
		for b.Loop() {
			table.template(target)
		}
	})
	b.Run("derived", func(b *testing.B) {
		table := tableOf(b, Options{})
		target := []byte("/api/v1/users/550e8400-e29b-41d4-a716-446655440000/orders/12345")
		b.ReportAllocs()
		for b.Loop() {
			table.derive(target)
		}
	})
	b.Run("never_again", func(b *testing.B) {
		table := tableOf(b, Options{})
		target := append(make([]byte, 0, 64), "/api/v1/users/"...)
		n := uint64(0)
		b.ReportAllocs()
		for b.Loop() {
			n++
			table.template(strconv.AppendUint(target, n, 10))
		}
	})
	b.Run("derived_100_patterns", func(b *testing.B) {
		opts := Options{}
		for i := range 100 {
			opts.Patterns = append(opts.Patterns, fmt.Sprintf("/api/v1/service%d/{id}/*", i))
		}
		table := tableOf(b, opts)
		target := []byte("/api/v1/users/550e8400-e29b-41d4-a716-446655440000/orders/12345")
		b.ReportAllocs()
		for b.Loop() {
			table.derive(target)
		}
	})
	b.Run("attack", func(b *testing.B) {
		table := tableOf(b, Options{})
		rng := rand.New(rand.NewPCG(3, 4))
		target := []byte("/????????/????????/????????")
		b.ReportAllocs()
		for b.Loop() {
			for i := range target {
				if i%9 != 0 {
					target[i] = 'g' + byte(rng.IntN(20))
				}
			}
			table.template(target)
		}
	})
}
