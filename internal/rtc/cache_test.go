package rtc

import "testing"

// A cache holds no more packets than it was made for, even where numbers have holes.
func TestCacheIsBounded(t *testing.T) {
	c := newCache(16)
	number := uint64(1000)
	for i := range 1000 {
		number += 1 + uint64(i*i/7%3) // some are lost
		c.add(newPacket([]byte{1}), number)
		held := map[*packet]bool{}
		for _, p := range append(c.arrivals, c.numbers...) {
			if p != nil {
				held[p] = true
			}
		}
		if want := min(i+1, 16); len(held) != want {
			t.Fatalf("after %d packets: %d are held, want %d", i+1, len(held), want)
		}
	}
}

func TestCacheNear(t *testing.T) {
	c := newCache(16)
	c.highest = 5<<16 + 10
	for seq, want := range map[uint16]uint64{
		10: 5<<16 + 10, 9: 5<<16 + 9, 12: 5<<16 + 12, 65535: 4<<16 + 65535, 32777: 5<<16 + 32777, 32779: 4<<16 + 32779,
	} {
		if got := c.near(seq); got != want {
			t.Errorf("near %d: %d, want %d", seq, got, want)
		}
	}
}
