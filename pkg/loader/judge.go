// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

const (
	// maxJudged processes are remembered, at about 100 bytes each; the one that
	// moved no bytes for longest is forgotten and asked about again.
	maxJudged = 16384
	// maxAsked bounds the questions that wait to be taken.
	maxAsked = 8192
	// tick is the unit of start times in /proc/PID/stat (USER_HZ).
	tick = time.Second / 100
	// tasksProgram lists processes; it is run, not attached.
	tasksProgram = "judge_tasks"
)

// Process is a process for as long as it runs one program.
type Process struct {
	// PID is the tgid in the initial pid namespace.
	PID uint32
	// Execs counts the programs it has run, its ancestors' included.
	Execs uint32
	// StartNS is its start, in nanoseconds since boot (CLOCK_BOOTTIME).
	StartNS uint64
}

// StartTicks is the start as in field 22 of /proc/PID/stat.
func (p Process) StartTicks() uint64 { return p.StartNS / uint64(tick) }

func judgeHooks(o Options) []string {
	if !o.JudgeProcesses {
		return nil
	}
	return []string{"judge_fork", "judge_exec"}
}

func judgePrograms(o Options) []string {
	if !o.JudgeProcesses {
		return nil
	}
	return append(judgeHooks(o), tasksProgram)
}

func (l *Loader) sizeJudgement(spec *ebpf.CollectionSpec, o Options) {
	if o.JudgeProcesses {
		spec.Maps["judge_known"].MaxEntries = maxJudged
		spec.Maps["judge_asked"].MaxEntries = maxAsked
	}
}

func (l *Loader) attachTasks(o Options) error {
	if !o.JudgeProcesses {
		return nil
	}
	tasks, err := link.AttachIter(link.IterOptions{Program: l.objects.Programs[tasksProgram]})
	if err != nil {
		return fmt.Errorf("attach %s: %w", tasksProgram, explain(err))
	}
	l.tasks = tasks
	return nil
}

var errNotJudging = errors.New("processes are not judged: Options.JudgeProcesses is not set")

// Processes hands over every process there is.
func (l *Loader) Processes(fn func(Process)) error {
	if l.tasks == nil {
		return errNotJudging
	}
	run, err := l.tasks.Open()
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	defer run.Close()
	data, err := io.ReadAll(run)
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for size := binary.Size(bpfProbeProcess{}); len(data) >= size; data = data[size:] {
		fn(Process{
			PID:     binary.NativeEndian.Uint32(data),
			Execs:   binary.NativeEndian.Uint32(data[4:]),
			StartNS: binary.NativeEndian.Uint64(data[8:]),
		})
	}
	return nil
}

// Asked hands over the processes for which the kernel side wants a verdict, each
// once, and not more than maxAsked.
func (l *Loader) Asked(fn func(Process)) error {
	if l.tasks == nil {
		return errNotJudging
	}
	asked := l.objects.Maps["judge_asked"]
	for range maxAsked {
		var p bpfProbeProcess
		err := asked.LookupAndDelete(nil, &p)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("take what the kernel asks: %w", err)
		}
		fn(Process{PID: p.Tgid, Execs: p.Execs, StartNS: p.StartNs})
	}
	return nil
}

// Judge says whether the process is wanted; it holds for what it forks, too, and
// until it runs another program. Connections that began before stay as they are.
func (l *Loader) Judge(p Process, wanted bool) error {
	verdict := bpfProbeVerdictPROBE_VERDICT_UNWANTED
	if wanted {
		verdict = bpfProbeVerdictPROBE_VERDICT_WANTED
	}
	key := bpfProbeProcess{Tgid: p.PID, Execs: p.Execs, StartNs: p.StartNS}
	if err := l.objects.Maps["judge_known"].Put(key, verdict); err != nil {
		return fmt.Errorf("tell the verdict on process %d: %w", p.PID, err)
	}
	return nil
}
