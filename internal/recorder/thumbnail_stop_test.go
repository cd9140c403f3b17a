package recorder

import "testing"

// A thumbnail that is never made keeps no recording from ending when the server
// stops.
func TestThumbnailAtStop(t *testing.T) {
	for _, waits := range []bool{false, true} {
		photographed(t, func(p *photo) {
			p.lab.never = true
			c := snapshots(0, 2, 6)
			take := p.r.Begin(c.stream)
			c.shoot(t, take, 30)
			if waits { // for its thumbnail already
				take.End()
			}
			p.stop()
			wantTold(t, p.w, "Recording Start "+c.stream.ID, "Recording End "+c.stream.ID)
		})
	}
}
