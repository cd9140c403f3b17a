package app

import (
	"io"
	"net/http"
	"net/http/pprof"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"anabranch/internal/metrics"
)

// admin is what operators and their machines look at. It changes nothing.
//
//	/metrics       for Prometheus
//	/healthz       200 while the process lives
//	/readyz        200 between start and stop, else 503
//	/debug/pprof/  profiles of the running process
type admin struct {
	http.ServeMux
	ready atomic.Bool
}

func newAdmin() *admin {
	a := new(admin)
	a.Handle("GET /metrics", promhttp.HandlerFor(metrics.Registry, promhttp.HandlerOpts{}))
	a.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "alive\n")
	})
	a.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !a.ready.Load() {
			http.Error(w, "starting or stopping", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	a.HandleFunc("/debug/pprof/", pprof.Index)
	a.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	a.HandleFunc("/debug/pprof/profile", pprof.Profile)
	a.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	a.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return a
}
