// SPDX-License-Identifier: Apache-2.0

package export

// Scopes of the host's figures. Those of a service and of an accept queue are of
// one service or port, which stands where the service of a request does; these
// scopes are long so that the names are within longestName.
const (
	scopeHost        = "host"
	scopeService     = scopeHost + ".service"
	scopeServicePSI  = scopeService + ".psi"
	scopeDelay       = scopeHost + ".sched_delay"
	scopeServiceWait = scopeService + ".sched_delay"
	scopeAcceptQueue = scopeHost + ".accept_queue"
)

// Last parts of the names of the host's figures.
const (
	nameCPUUsed       = "cpu.used_ratio"
	nameCPUIowait     = "cpu.iowait_ratio"
	nameCPUSteal      = "cpu.steal_ratio"
	nameMemoryUsed    = "memory.used_ratio"
	nameMemoryBytes   = "memory.used_bytes"
	namePSI           = "psi."
	nameSome          = ".some"
	nameFull          = ".full"
	nameRunQueue      = "run_queue"
	nameLoad1         = "load1"
	nameDelayMean     = "mean"
	nameDelayP50      = "p50"
	nameDelayP90      = "p90"
	nameDelayP99      = "p99"
	nameDelayMax      = "max"
	nameOverflows     = "listen_overflows"
	nameDrops         = "listen_drops"
	nameRequestDrops  = "listen_request_drops"
	nameClientErrors  = "client_errors"
	nameOverloaded    = "overloaded"
	nameOverload      = "overload."
	nameServiceCPU    = "cpu.used"
	nameThrottled     = "cpu.throttled"
	nameServiceMemory = "memory.used"
	nameQueueLength   = "length"
	nameQueueLimit    = "limit"
)

// psiResources in the order of their lines.
func psiResources() []string { return []string{"cpu", "memory", "io"} }

// hostMetrics are the figures of the host, see stats.HostInterval.
func hostMetrics() []Metric {
	gauge := func(name, unit, description string) Metric {
		return Metric{scopeHost + "." + name, Gauge, unit, description}
	}
	count := func(name, unit, description string) Metric {
		return Metric{scopeHost + "." + name, Counter, unit, description}
	}
	all := []Metric{
		gauge(nameCPUUsed, "ratio", "share of all CPU time in the interval that was neither idle nor waiting for a disk"),
		gauge(nameCPUIowait, "ratio", "share of all CPU time that was idle for want of a disk"),
		gauge(nameCPUSteal, "ratio", "share of all CPU time that the hypervisor gave to others; part of cpu.used_ratio"),
		gauge(nameMemoryUsed, "ratio", "share of the memory that is not available to programs"),
		gauge(nameMemoryBytes, "bytes", "memory that is not available to programs"),
	}
	for _, resource := range psiResources() {
		all = append(all,
			gauge(namePSI+resource+nameSome, "%", "share of the interval in which something waited for the resource (PSI)"),
			gauge(namePSI+resource+nameFull, "%", "share of the interval in which nothing could run for want of the resource (PSI)"))
	}
	all = append(all,
		gauge(nameRunQueue, "threads", "threads that run or wait for a CPU, mean of the samples"),
		gauge(nameLoad1, "threads", "load average of the last minute"),
		Metric{scopeDelay + "." + nameDelayMean, Gauge, "ms", "mean wait of runnable threads for a CPU, highest of the samples; as are the following"},
		Metric{scopeDelay + "." + nameDelayP50, Gauge, "ms", "median wait for a CPU; the percentiles are not sent where the kernel tells sums only"},
		Metric{scopeDelay + "." + nameDelayP90, Gauge, "ms", "90th percentile of the waits for a CPU"},
		Metric{scopeDelay + "." + nameDelayP99, Gauge, "ms", "99th percentile of the waits for a CPU"},
		Metric{scopeDelay + "." + nameDelayMax, Gauge, "ms", "longest wait for a CPU"},
		Metric{scopeAcceptQueue + "." + nameQueueLength, Gauge, "connections", "connections not accepted yet, highest of the samples; service is port-N; of sockets that share a port the fullest"},
		Metric{scopeAcceptQueue + "." + nameQueueLimit, Gauge, "connections", "how many connections may wait in that queue"},
		count(nameOverflows, "connections", "connections lost because an accept queue was full; not sent while 0"),
		count(nameDrops, "connections", "connections lost by listening sockets for any reason; not sent while 0"),
		count(nameRequestDrops, "connections", "connection requests lost because a queue of half-open connections was full; not sent while 0"),
		count(nameClientErrors, "requests", "answers with 429 or 5xx to outbound calls (`--role client` or `both`); not sent while 0"),
		gauge(nameOverloaded, "0 or 1", "whether any resource is overloaded"),
		gauge(nameOverload+"cpu", "0 or 1", "whether the CPUs are"),
		gauge(nameOverload+"memory", "0 or 1", "whether the memory is"),
		gauge(nameOverload+"sched_delay", "0 or 1", "whether threads wait too long for a CPU"),
		gauge(nameOverload+"client_errors", "0 or 1", "whether too many outbound calls are answered with 429 or 5xx"),
		Metric{scopeServiceWait + "." + nameDelayMean, Gauge, "ms", "mean wait for a CPU of the threads of the service that serve requests; as are the following"},
		Metric{scopeServiceWait + "." + nameDelayP50, Gauge, "ms", "median of these waits"},
		Metric{scopeServiceWait + "." + nameDelayP90, Gauge, "ms", "90th percentile"},
		Metric{scopeServiceWait + "." + nameDelayP99, Gauge, "ms", "99th percentile"},
		Metric{scopeServiceWait + "." + nameDelayMax, Gauge, "ms", "the longest, within 3.2 %"},
		Metric{scopeService + "." + nameServiceCPU, Gauge, "CPUs", "CPUs that the control group of the service kept busy in the interval"},
		Metric{scopeService + "." + nameThrottled, Gauge, "ratio", "share of the interval for which a quota took its CPUs away, summed over CPUs"},
		Metric{scopeService + "." + nameServiceMemory, Gauge, "bytes", "memory of the service, page cache included"},
	)
	for _, resource := range psiResources() {
		all = append(all,
			Metric{scopeServicePSI + "." + resource + nameSome, Gauge, "%", "as host.psi, of the service; needs control groups of version 2"},
			Metric{scopeServicePSI + "." + resource + nameFull, Gauge, "%", "as host.psi, of the service; needs control groups of version 2"})
	}
	return all
}
