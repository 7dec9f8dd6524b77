// SPDX-License-Identifier: Apache-2.0

//go:build race

package testutil

// RaceDetector: the test was built with -race.
const RaceDetector = true
