# SPDX-License-Identifier: Apache-2.0
# The static binary and nothing else: make image
ARG GO_VERSION=1.26
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS=linux TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /probe ./cmd/probe

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="probe" \
      org.opencontainers.image.description="Shows every HTTP request of a host, and why it took so long" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /probe /probe
# Root with four of its capabilities is enough: see deploy/kustomize/least-privilege.
USER 0:0
ENTRYPOINT ["/probe"]
CMD ["run"]
