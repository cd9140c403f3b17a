package stage

import (
	"context"
)

// Listener is told of every change of a room.
type Listener struct {
	p    *participant
	seen uint64 // the version of the room that was told last; Next's own
	// over is closed when the listener's time in the room is over. The reason is
	// written before.
	over   chan struct{}
	reason string
}

// Listen joins a stage to be told of its participants. A listener of the same
// token ends. A refusal is an *[Error].
func (m *Manager) Listen(ctx context.Context, token, stageID string, from Client) (*Listener, error) {
	p, _, release, err := m.enter(ctx, token, stageID, from)
	if err != nil {
		return nil, err
	}
	defer release()
	r := p.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.left {
		return nil, refusalFor(p.reason)
	}
	if r.closed {
		return nil, errStopping
	}
	if p.listener != nil {
		p.listener.end(reasonReused)
	}
	p.listener = &Listener{p: p, over: make(chan struct{})}
	return p.listener, nil
}

// Next waits for the newest snapshot that was not seen yet: the payload of a
// STAGE_STATE message, as JSON (a [Snapshot]). All listeners share it, so it must
// not be changed. Older ones are skipped. The first one comes at once. The error
// is *[Left] when the listener's time in the room is over, else that of ctx. Only
// one call may be under way.
func (l *Listener) Next(ctx context.Context) ([]byte, error) {
	for {
		snapshot, version, wake := l.p.room.look(l.seen)
		if snapshot == nil {
			select {
			case <-wake:
				continue
			case <-l.over:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		select {
		case <-l.over:
			return nil, &Left{Reason: l.reason}
		default:
			l.seen = version
			return snapshot, nil
		}
	}
}

// Close ends the listening. It may be called more than once.
func (l *Listener) Close() {
	l.p.room.mu.Lock()
	defer l.p.room.mu.Unlock()
	if l.p.listener == l {
		l.p.listener = nil
		l.end(reasonClosed)
		l.p.rest()
	}
}

// end ends the listening for a reason. Whoever calls it takes the listener off its
// participant.
func (l *Listener) end(reason string) {
	l.reason = reason
	close(l.over)
}
