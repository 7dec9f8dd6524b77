// SPDX-License-Identifier: Apache-2.0

// Package loader loads the kernel side, attaches it and hands its records over
// as raw bytes. It is the only package that knows the BPF library and it does
// not know what the records mean.
//
// Feature probing comes first (features.go), so that a missing privilege or
// kernel feature is one sentence; a program that the verifier refuses is a
// defect and carries the verifier's log (VerifierLog).
package loader

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Loader owns everything that lives in the kernel on our behalf. Links that the
// garbage collector frees detach their program, so all of them are kept here.
type Loader struct {
	source  Source
	detail  Detail
	missing []string // of what the detail would need
	extra   []string // programs of the detail
	objects *ebpf.Collection
	hooks   []link.Link
	sweeper *link.Iter
	// byFiles: sweeps go over the open files of all processes.
	byFiles bool
	tasks   *link.Iter // lists processes; nil without JudgeProcesses
	ring    *ring
	waiter  *waiter
	// userMemory: why messages are not read from what the sockets hold.
	userMemory string
}

// These fire for every TCP read of the host.
const (
	arrivalHook      = "http_arrival"
	tableArrivalHook = "http_tab_arrive"
)

// hooksOf each source are the programs that are attached.
var hooksOf = map[Source][]string{
	SourceSocket:  {"http_sock_send", "http_sock_recv", arrivalHook, "http_sock_state", "http_sock_gone"},
	SourceSyscall: {"http_sys_exit", tableArrivalHook, "http_tab_state", "http_tab_gone"},
}

// Load checks the kernel, loads the programs of the chosen source and attaches
// them. On error nothing stays loaded. Errors wrap ErrPermission or
// ErrNotSupported where that is the cause.
func Load(o Options) (*Loader, error) {
	o.setDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	kernel, err := checkKernel()
	if err != nil {
		return nil, err
	}
	source, err := chooseSource(o.Source, kernel)
	if err != nil {
		return nil, err
	}
	// Kernels before 5.11 charge BPF memory against this limit.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the memlock limit: %w", err)
	}
	l := &Loader{source: source}
	l.detail, l.extra, l.missing = possibleDetail(o.Detail, kernel)
	l.byFiles = o.sweepFiles || !mapIterators(source)
	if err := l.open(o); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Loader) open(o Options) error {
	spec, err := loadBpf()
	if err != nil {
		return fmt.Errorf("read embedded programs: %w", err)
	}
	if err := l.configure(spec, o); err != nil {
		return err
	}
	var co ebpf.CollectionOptions
	if o.VerifierStats {
		co.Programs.LogLevel = ebpf.LogLevelStats
	}
	l.objects, err = ebpf.NewCollectionWithOptions(spec, co)
	if err != nil {
		return &loadError{source: l.source, err: err}
	}
	l.ring, err = openRing(l.objects.Maps["http_events"].FD(), o.RingBytes)
	if err != nil {
		return explain(err)
	}
	l.waiter, err = newWaiter(l.ring, l.objects.Maps["http_events"].FD(), l.askForWake)
	if err != nil {
		return explain(err)
	}
	err = l.findPages()
	for errors.Is(err, unix.EINTR) { // a signal of the Go runtime
		err = l.findPages()
	}
	if err != nil {
		l.userMemory = err.Error()
	}
	return l.attach(o)
}

// configure keeps only the programs of one source and detail, and sizes the maps.
func (l *Loader) configure(spec *ebpf.CollectionSpec, o Options) error {
	keep := map[string]bool{}
	for _, name := range slices.Concat(l.extra, judgePrograms(o), l.programs()) {
		keep[name] = true
	}
	keep[pagesHook] = l.source == SourceSocket && !o.userMemory
	for name := range spec.Programs {
		if !keep[name] {
			delete(spec.Programs, name)
		}
	}
	spec.Maps["http_events"].MaxEntries = uint32(o.RingBytes)
	if l.source == SourceSyscall {
		spec.Maps["http_conn_table"].MaxEntries = uint32(o.TableEntries)
		delete(spec.Maps, "http_conns")
	} else {
		delete(spec.Maps, "http_conn_table")
		delete(spec.Maps, "http_empty")
	}
	l.sizeJudgement(spec, o)
	if l.detail == DetailOff {
		// Not used, and kernels before 5.11 do not know its type.
		threads := spec.Maps["sched_threads"]
		threads.Type, threads.Flags, threads.MaxEntries = ebpf.Hash, 0, 1
	}
	cfg := kernelConfig(o)
	cfg.Detail = kernelDetail[l.detail]
	if preempts, err := preemptsTracepoints(); err != nil {
		return err
	} else if preempts {
		cfg.Preemptible = 1
	}
	if err := spec.Variables["cfg"].Set(cfg); err != nil {
		return fmt.Errorf("configure programs: %w", err)
	}
	if o.impatient {
		return spec.Variables["lane_waits"].Set(uint32(0))
	}
	return nil
}

func kernelConfig(o Options) bpfProbeConfig {
	cfg := bpfProbeConfig{
		SelfTgid:     selfTgid(),
		CaptureBytes: uint32(o.CaptureBytes),
		RingAlarm:    uint32(o.RingBytes / alarmShare),
		TickNs:       tickNS(),
		PortsLen:     uint8(len(o.Ports)),
		PidsLen:      uint8(len(o.PIDs)),
		CommsLen:     uint8(len(o.Comms)),
	}
	if o.Server {
		cfg.WantServer = 1
	}
	if o.Client {
		cfg.WantClient = 1
	}
	if o.JudgeProcesses {
		cfg.Judge = 1
	}
	copy(cfg.Ports[:], o.Ports)
	copy(cfg.Pids[:], o.PIDs)
	for i, c := range o.Comms {
		copy(cfg.Comms[i][:], c)
	}
	return cfg
}

func (l *Loader) attach(o Options) error {
	for _, name := range slices.Concat(judgeHooks(o), l.extra, hooksOf[l.source]) {
		if (name == arrivalHook || name == tableArrivalHook) && !o.Server {
			continue // only a server waits for its process to read
		}
		hook, err := link.AttachTracing(link.TracingOptions{Program: l.objects.Programs[name]})
		if err != nil {
			return fmt.Errorf("attach %s: %w", name, explain(err))
		}
		l.hooks = append(l.hooks, hook)
	}
	if err := l.attachSweep(); err != nil {
		return err
	}
	return l.attachTasks(o)
}

// Source is the one in use, never SourceAuto.
func (l *Loader) Source() Source { return l.source }

// UserMemory says why messages are read from the memory of the processes only,
// which costs them more; empty: mostly from what their sockets hold.
func (l *Loader) UserMemory() string { return l.userMemory }

// Drain hands every record in the ring to fn and returns their number and
// bytes. It does not wait. fn must not keep the slice.
func (l *Loader) Drain(fn func(record []byte)) (records, bytes int, err error) {
	if l.ring == nil {
		return 0, 0, errors.New("read the ring buffer: closed")
	}
	records, bytes = l.ring.drain(fn)
	return records, bytes, nil
}

// Close detaches and frees everything, in this order: hooks first, so that
// nothing new is written; then the ring's mapping; then programs and maps. It may
// be called twice and on a half-made Loader.
func (l *Loader) Close() error {
	errs := []error{l.Detach()}
	if l.sweeper != nil {
		errs = append(errs, l.sweeper.Close())
		l.sweeper = nil
	}
	if l.tasks != nil {
		errs = append(errs, l.tasks.Close())
		l.tasks = nil
	}
	if l.waiter != nil { // it stays: EndWait may be called at any time
		errs = append(errs, l.waiter.close())
	}
	if l.ring != nil {
		errs = append(errs, l.ring.close())
		l.ring = nil
	}
	if l.objects != nil {
		l.objects.Close()
		l.objects = nil
	}
	return errors.Join(errs...)
}

// Detach removes the hooks and keeps the rest, so that what is still in the
// ring and in the counters can be read.
func (l *Loader) Detach() error {
	var errs []error
	for _, h := range l.hooks {
		errs = append(errs, h.Close())
	}
	l.hooks = nil
	return errors.Join(errs...)
}
