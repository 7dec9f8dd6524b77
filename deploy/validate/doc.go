// SPDX-License-Identifier: Apache-2.0

// Package validate checks what is in deploy/: manifests against the types of
// Kubernetes, the chart with helm, the packages in a scratch root, and the
// least-privilege variant in a container. It is a module of its own, so that
// Kubernetes, helm and nfpm are no dependencies of the program; its go.mod pins
// helm and nfpm as tools.
package validate
