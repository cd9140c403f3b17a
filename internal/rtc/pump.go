package rtc

import "slices"

// pump sends a lane's packets to some of its subscribers, as they come. The cache is
// its queue: a pump that falls behind costs neither the publisher nor other pumps
// anything.
type pump struct {
	lane *lane

	// Guarded by the lane's mutex.
	senders []*sender // copied when it changes
	joining []*sender // of them those that have not begun

	// run's own.
	next    uint64 // the arrival that comes next
	reports uint64 // of the lane's, how many subscribers were told
}

const (
	pumpSenders = 64 // how many make another pump worth while
	pumpPackets = 64 // sent to one sender after the other
	// pumpBacklog is how much, in packets, a new subscriber is sent at once to begin
	// with the last key frame instead of asking for another.
	pumpBacklog = 256
)

func (p *pump) run() {
	var packets, backlog []*packet
	l := p.lane
	for {
		l.mu.Lock()
		for p.next == l.cache.head && p.reports == l.reports && len(p.joining) == 0 && !l.closed {
			l.wake.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		from := max(p.next, l.cache.oldest())
		skipped := from - p.next
		p.next = min(l.cache.head, from+pumpPackets)
		packets = l.cache.since(packets[:0], from, p.next)
		senders, joining := p.senders, p.joining
		p.joining = nil
		if backlog = backlog[:0]; len(joining) > 0 {
			backlog = l.backlog(backlog, from)
		}
		coming := l.cache.keyed && l.cache.key >= from
		missed := skipped > 0 && len(senders) > len(joining)
		if !coming && (missed || len(joining) > 0 && len(backlog) == 0) {
			l.wantKeyFrame()
		}
		ref, due := l.reference(), p.reports != l.reports
		p.reports = l.reports
		l.mu.Unlock()

		if missed {
			for _, sn := range senders {
				if !slices.Contains(joining, sn) {
					sn.skip(skipped)
				}
			}
		}
		for _, sn := range joining {
			sn.forward(backlog)
		}
		for _, sn := range senders {
			sn.forward(packets)
			if (due || !sn.told) && !ref.at.IsZero() {
				sn.report(ref)
			}
		}
		clear(packets) // old packets are not kept by a pump that sleeps
		clear(backlog)
	}
}

// backlog appends what came since the last key frame, if that is little enough to be
// sent to a new subscriber at once.
func (l *lane) backlog(packets []*packet, to uint64) []*packet {
	c := &l.cache
	if l.kind != video || l.current == nil || !c.keyed || c.key >= to || to-c.key > pumpBacklog {
		return packets
	}
	return c.since(packets, c.key, to)
}
