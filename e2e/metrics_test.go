package e2e

import (
	"strconv"
	"strings"
)

// metrics are the server's, by name and labels as Prometheus' text format has
// them: `anabranch_playback_requests_total{kind="media",status="200"}`.
func (s *server) metrics() map[string]float64 {
	s.t.Helper()
	_, text := fetch(s.t, "http://"+s.at.Admin+"/metrics")
	values := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			s.t.Fatalf("the metrics have the line %q", line)
		}
		values[line[:i]] = value
	}
	return values
}

// metric is the sum of those whose names and labels begin so.
func (s *server) metric(begins string) (sum float64) {
	s.t.Helper()
	for name, value := range s.metrics() {
		if strings.HasPrefix(name, begins) {
			sum += value
		}
	}
	return sum
}
