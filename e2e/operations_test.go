package e2e

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Stock clients call every operation that they know. Which ones worked is what
// the servers' metrics say.
func TestOperations(t *testing.T) {
	t.Parallel()
	table := operationTable{calls: make(map[string]map[string]int), known: make(map[string][]string)}
	t.Cleanup(func() { table.check(t) }) // when all of the below have ended
	for _, client := range []struct {
		name string
		use  func(*testing.T, *server) (known []string)
	}{
		{"AWS SDK for JavaScript", callWithTheJavaScriptSDK},
		{"AWS CLI", callWithTheCLI},
		{"Terraform", func(t *testing.T, s *server) []string { testTerraform(t, s); return nil }},
	} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			known := client.use(t, s)
			table.add(client.name, known, s.answeredCalls())
		})
	}
}

// operationTable says which client called which operation, and was answered.
type operationTable struct {
	mu    sync.Mutex
	calls map[string]map[string]int // by operation and client
	known map[string][]string       // by client
}

func (o *operationTable) add(client string, known []string, answered map[string]int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known[client] = known
	for _, operation := range known {
		answered[operation] += 0
	}
	for operation, n := range answered {
		if o.calls[operation] == nil {
			o.calls[operation] = make(map[string]int)
		}
		o.calls[operation][client] = n
	}
}

// check fails where a client knows an operation that has not worked, and shows
// the table.
func (o *operationTable) check(t *testing.T) {
	clients := slices.Sorted(maps.Keys(o.known))
	table := "| operation | " + strings.Join(clients, " | ") + " |\n|---|" + strings.Repeat("--:|", len(clients)) + "\n"
	for _, operation := range slices.Sorted(maps.Keys(o.calls)) {
		table += "| " + operation
		for _, client := range clients {
			n := o.calls[operation][client]
			if n == 0 && slices.Contains(o.known[client], operation) {
				t.Errorf("%s has not worked with the %s", operation, client)
			}
			table += " | " + strconv.Itoa(n)
		}
		table += " |\n"
	}
	t.Logf("calls of %d operations that were answered:\n\n%s", len(o.calls), table)
}

var callCount = regexp.MustCompile(`^anabranch_api_call_seconds_count\{class="2xx",operation="(\w+)"\}$`)

// answeredCalls is how many calls of each operation have been answered with a
// result.
func (s *server) answeredCalls() map[string]int {
	s.t.Helper()
	calls := make(map[string]int)
	for name, n := range s.metrics() {
		if m := callCount.FindStringSubmatch(name); m != nil {
			calls[m[1]] = int(n)
		}
	}
	return calls
}
