// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
)

// agreement is how far the two bare runs of a pair may differ; otherwise the
// machine changed speed meanwhile and the pair says nothing.
const agreement = 0.06

// pair is a run with the probe between two without it.
type pair struct {
	before, after sample
	with          attachedRun
}

// agree reports whether a and b, both positive, differ by at most limit of the
// smaller one.
func agree(a, b, limit float64) bool {
	low, high := min(a, b), max(a, b)
	return low > 0 && high/low-1 <= limit
}

// counts reports whether p says something about the probe: the machine kept its
// speed, and others took no more than maxForeign of one CPU.
func (p pair) counts(steadiness figure, maxForeign float64) bool {
	return agree(steadiness(p.before), steadiness(p.after), agreement) &&
		max(p.before.foreign, p.with.foreign, p.after.foreign) <= maxForeign
}

// figure takes one number out of a sample.
type figure func(sample) float64

func perSecond(s sample) float64 { return s.perSecond }
func p50(s sample) float64       { return float64(s.p50) }
func p99(s sample) float64       { return float64(s.p99) }
func part99(s sample) float64    { return float64(s.part99) }

// ratio compares the run with the probe to the mean of its neighbours.
func (p pair) ratio(of figure) float64 {
	return of(p.with.sample) / ((of(p.before) + of(p.after)) / 2)
}

// noise compares the two runs without the probe to each other.
func (p pair) noise(of figure) float64 { return of(p.after) / of(p.before) }

// quartiles of a set of numbers, by linear interpolation between the two
// neighbours (R-7, the usual definition of spreadsheets).
type quartiles struct {
	lower, median, upper float64
}

// quartilesOf returns NaN everywhere for an empty set. It keeps values as it is.
func quartilesOf(values []float64) quartiles {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return quartiles{quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)}
}

// quantile of sorted values, q from 0 to 1.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	position := q * float64(len(sorted)-1)
	below := int(position)
	if below+1 == len(sorted) {
		return sorted[below]
	}
	return sorted[below] + (position-float64(below))*(sorted[below+1]-sorted[below])
}

// across collects one number of each pair.
func across(pairs []pair, of func(pair) float64) quartiles {
	values := make([]float64, 0, len(pairs))
	for _, p := range pairs {
		values = append(values, of(p))
	}
	return quartilesOf(values)
}
