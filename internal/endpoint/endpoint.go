// SPDX-License-Identifier: Apache-2.0

// Package endpoint is the HTTP side of the agent: health, readiness, metrics
// for Prometheus, the state as JSON and, on request, profiles.
//
//	GET  /healthz      200 while every part gets on, else 503 and which one not
//	GET  /readyz       200 while requests are seen and their figures can leave
//	GET  /metrics      Prometheus
//	GET  /debug/state  everything the agent knows of itself, JSON
//	POST /-/reset      forgets the totals; needs the header of ResetHeader
//	GET  /debug/pprof  profiles, if asked for
//
// It is bounded in connections, in requests at a time, in header bytes and in
// the time of each, and it answers only under names that are no domain: a page
// in a browser of this host cannot reach it through a domain of its own.
package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Limits.
const (
	maxConns       = 64
	maxRequests    = 4 // at a time; a scrape is one
	maxHeaderBytes = 8 << 10
	headTimeout    = 5 * time.Second
	readTimeout    = 10 * time.Second
	idleTimeout    = time.Minute
	writeTimeout   = 15 * time.Second
	// A profile of 30 s, the usual length, must fit.
	writeTimeoutPprof = 2 * time.Minute
	stopTimeout       = time.Second
)

// ResetHeader must be in a POST to /-/reset: a form in a web page cannot set it.
const ResetHeader = "X-Probe-Reset"

// Source is what the endpoint shows. Each call returns soon, whatever state the
// agent is in.
type Source interface {
	// Alive returns what is stuck, nil if nothing.
	Alive() error
	// Ready returns what is missing, nil if nothing.
	Ready() error
	// Metrics and State are a picture of now.
	Metrics(ctx context.Context) Metrics
	State(ctx context.Context) any
	// Reset forgets the totals.
	Reset(ctx context.Context) error
}

// Options of a Server.
type Options struct {
	// Pprof adds /debug/pprof.
	Pprof bool
	// AnyName answers requests under any name of the host, for an address that
	// other hosts can reach anyway.
	AnyName bool
	Log     *slog.Logger
}

// Server answers requests; one can serve several listeners, one after another.
type Server struct {
	source  Source
	opt     Options
	metrics http.Handler
	running chan struct{} // one place per request at a time
	refused atomic.Uint64
	evicted atomic.Uint64
}

// New returns a Server. It listens on nothing yet.
func New(source Source, opt Options) *Server {
	return &Server{
		source: source, opt: opt, metrics: metricsHandler(source),
		running: make(chan struct{}, maxRequests),
	}
}

// Refused counts requests answered 503 because too many ran at a time.
func (s *Server) Refused() uint64 { return s.refused.Load() }

// Evicted counts connections without a request that were closed to make room for
// others.
func (s *Server) Evicted() uint64 { return s.evicted.Load() }

// Serve answers on the listener until ctx ends, and closes it.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.Handler(), MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: headTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, WriteTimeout: writeTimeout,
		ErrorLog: log.New(io.Discard, "", 0), ConnContext: withPlace,
	}
	if s.opt.Pprof {
		server.WriteTimeout = writeTimeoutPprof
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(limitConns(listener, maxConns, func() { s.evicted.Add(1) })) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", errors.Join(err, server.Close()))
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if server.Shutdown(stop) != nil {
		server.Close() // what is still open has had its time
	}
	<-failed
	return ctx.Err()
}

// Handler is all of the endpoint.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { verdict(w, s.source.Alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { verdict(w, s.source.Ready()) })
	mux.Handle("GET /metrics", s.metrics)
	mux.HandleFunc("GET /debug/state", s.state)
	mux.HandleFunc("POST /-/reset", s.reset)
	if s.opt.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return s.guard(mux)
}

// guard refuses what is too much and what comes under a foreign name.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer hold(r.Context())()
		if !s.opt.AnyName && !ownName(r.Host) {
			http.Error(w, "use an IP address or localhost", http.StatusMisdirectedRequest)
			return
		}
		select {
		case s.running <- struct{}{}:
			defer func() { <-s.running }()
		default:
			s.refused.Add(1)
			http.Error(w, "too many requests at a time", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// ownName: an address, localhost, or a name without a dot, as containers and
// services of one namespace have.
func ownName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return !strings.Contains(host, ".")
}

func verdict(w http.ResponseWriter, problem error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if problem != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, problem)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	text, err := json.MarshalIndent(s.source.State(r.Context()), "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // a client that has left needs no answer
}

func (s *Server) reset(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(ResetHeader) == "" {
		http.Error(w, "the header "+ResetHeader+" is missing", http.StatusForbidden)
		return
	}
	if !fromLoopback(r) {
		http.Error(w, "only from this host", http.StatusForbidden)
		return
	}
	if err := s.source.Reset(r.Context()); err != nil {
		s.opt.Log.Error("totals not reset", "error", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func fromLoopback(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}
