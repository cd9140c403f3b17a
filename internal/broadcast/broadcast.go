package broadcast

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// hold is how long a newcomer waits for a sign of life of the publisher that
// is already there.
const hold = 2500 * time.Millisecond

// Broadcast is what a channel's viewers watch: the window of live media, and
// the feed that fills it.
type Broadcast struct {
	m    *Manager
	id   string // of the channel
	log  *slog.Logger
	view atomic.Pointer[View]

	metadata allowance // m.mu guards it

	// mu guards what follows. Media is written under the feed's mutex alone.
	mu          sync.Mutex
	channel     resource.Channel
	feed        *Feed                // nil while nobody publishes
	window      *packager.Window     // nil while off air
	latencyMode resource.LatencyMode // of window
	patience    time.Duration        // how long the window waits for a publisher
	postRoll    time.Duration        // of the ad break behind the end, 0 for none
	expiry      *time.Timer          // runs while it waits
	deadline    time.Time            // when it expires
	closed      bool                 // the server stops
}

func newBroadcast(m *Manager, ch resource.Channel) *Broadcast {
	return &Broadcast{m: m, id: ch.ID(), channel: ch, patience: m.Grace, log: m.Log.With("channel", ch.ID())}
}

// claim makes f the channel's feed. While another one is there it waits until
// that one ends, which lets f in, or delivers media, which refuses f. If
// neither happens within the hold, it ends the other.
func (b *Broadcast) claim(ctx context.Context, f *Feed) error {
	for {
		b.mu.Lock()
		incumbent := b.feed
		if b.closed {
			b.mu.Unlock()
			return errStopping
		}
		if incumbent == nil {
			b.feed = f
			b.stopWaiting()
			b.mu.Unlock()
			return nil
		}
		b.mu.Unlock()

		silence := time.NewTimer(hold)
		select {
		case <-incumbent.finished:
		case <-incumbent.nextMedia():
			silence.Stop()
			return &Refused{Code: CodeBadName, Reason: "the channel is already live from another connection"}
		case <-silence.C:
			taken := &Refused{Code: CodeBadName, Reason: "a new connection took over from this one, which was silent"}
			if err := incumbent.endWithin(ctx, taken); err != nil {
				return err
			}
		case <-ctx.Done():
			silence.Stop()
			return ctx.Err()
		}
		silence.Stop()
	}
}

// release takes f off the channel and lets the window wait for the next. A
// stream that was not live does not make it wait any longer.
func (b *Broadcast) release(f *Feed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.feed != f {
		return
	}
	b.feed = nil
	if b.window != nil && !b.closed {
		b.publishView("")
		if f.live {
			b.wait(b.patience)
		} else {
			b.wait(time.Until(b.deadline))
		}
	}
}

func (b *Broadcast) current() *Feed {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.feed
}

// begin puts f's stream on air: in the window where the last stream left off,
// or in a new one. It returns the window and where on its timeline the stream
// begins.
func (b *Broadcast) begin(f *Feed) (*packager.Window, media.Ticks, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.channel, b.postRoll = f.session.Channel, f.postRoll
	b.patience = b.m.Grace
	if rc := f.session.RecordingConfiguration; rc != nil {
		b.patience = max(b.patience, rc.ReconnectWindow())
	}
	// A change of the latency mode may have come while the publisher did.
	if b.window != nil && (b.window.Info().Ended || b.latencyMode != b.channel.LatencyMode) {
		if err := b.remove(); err != nil {
			return nil, 0, err
		}
	}
	if b.window == nil {
		if err := b.open(); err != nil {
			return nil, 0, err
		}
	}
	start := packager.Origin
	if at, ok := b.window.Position(); ok {
		start = max(start, at)
	}
	if at, ok := b.m.Recorder.Position(b.channel.ARN); ok {
		start = max(start, at)
	}
	b.publishView(f.id)
	b.window.SetMediaBase(b.m.MediaBase(&b.channel))
	return b.window, start, nil
}

// open opens or recovers the channel's window.
func (b *Broadcast) open() (err error) {
	b.latencyMode = b.channel.LatencyMode
	b.window, err = packager.OpenWindow(packager.WindowConfig{
		Dir:       filepath.Join(b.m.Dir, b.id),
		MediaBase: b.m.MediaBase(&b.channel),
		NoParts:   b.channel.LatencyMode == resource.NormalLatency,
	})
	if err != nil {
		return fmt.Errorf("open live window: %w", err)
	}
	return nil
}

func (b *Broadcast) publishView(streamID string) {
	b.view.Store(&View{Channel: b.channel, Window: b.window, StreamID: streamID})
}

// wait lets the window end after d unless a publisher comes.
func (b *Broadcast) wait(d time.Duration) {
	b.stopWaiting()
	b.deadline = time.Now().Add(d)
	b.expiry = time.AfterFunc(d, b.expire)
}

func (b *Broadcast) stopWaiting() {
	if b.expiry != nil {
		b.expiry.Stop()
		b.expiry = nil
	}
}

// expire ends the playlist of a broadcast whose publisher stayed away, and
// removes it a minute later.
func (b *Broadcast) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	// A publisher may have come and gone since the timer ran out.
	if b.feed != nil || b.window == nil || b.closed || time.Until(b.deadline) > 0 {
		return
	}
	if b.window.Info().Ended {
		if err := b.remove(); err != nil {
			b.log.Error("live window cannot be removed", "error", err)
		}
		return
	}
	b.endPlaylist()
	b.log.Info("broadcast ended")
	b.wait(afterlife)
}

// changed lets a change of who may watch count at once, and ends a broadcast
// whose channel is gone or is delivered in another way from now on.
func (b *Broadcast) changed(ch resource.Channel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.channel
	if b.window == nil || b.closed {
		return
	}
	if ch.ARN != "" {
		// Before the publisher is looked at: one who connects just now may leave
		// again before the stream is on air.
		b.channel = ch
		b.publishView(b.view.Load().StreamID)
		b.window.SetMediaBase(b.m.MediaBase(&ch))
	}
	if b.feed != nil {
		return
	}
	switch {
	case ch.ARN == "":
		b.stopWaiting()
		if err := b.remove(); err != nil {
			b.log.Error("live window of deleted channel cannot be removed", "error", err)
		}
	case ch.LatencyMode != before.LatencyMode:
		b.stopWaiting()
		if err := b.window.End(); err != nil {
			b.log.Error("live playlist cannot be ended", "error", err)
		}
		b.wait(afterlife)
	}
}

// remove takes the window away. The folder is free for a new one, even when
// an error says that the old files are not all gone.
func (b *Broadcast) remove() error {
	w := b.window
	b.window = nil
	b.view.Store(nil)
	return w.Remove()
}

// shutdown ends the stream and closes the window, both to be gone on with at
// the next start.
func (b *Broadcast) shutdown(reason *Refused) {
	b.mu.Lock()
	b.closed = true
	b.stopWaiting()
	f := b.feed
	b.mu.Unlock()
	if f != nil {
		f.end(reason, "")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.window == nil {
		return
	}
	if err := b.window.Close(); err != nil {
		b.log.Error("live window cannot be closed", "error", err)
	}
}
