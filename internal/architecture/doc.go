// SPDX-License-Identifier: Apache-2.0

// Package architecture holds no code, only the tests that keep the project's
// structure: which package may import which, who may read a clock, and what no
// package may contain. They need nothing but the Go toolchain.
package architecture
