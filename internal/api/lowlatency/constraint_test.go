package lowlatency_test

import "testing"

// leastRows is how many constraints have been broken before, one by one: so many
// do not go away by oversight.
const leastRows = 1964

func TestConstraints(t *testing.T) {
	if n := examples.BreakConstraints(t, newFixture(t).Server, services(nil)...); n < leastRows {
		t.Errorf("%d rows; there were %d before", n, leastRows)
	}
}
