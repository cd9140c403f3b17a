package broadcast

import (
	"context"
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

// Broadcast is what a channel's viewers watch: the windows of live media, and
// the feed that fills them.
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
	streamID    string               // of the stream on air, empty while there is none
	windows     *renditions          // nil while off air
	latencyMode resource.LatencyMode // of windows
	place       func()               // gives back the place among streams that are transcoded; nil without one
	patience    time.Duration        // how long the windows wait for a publisher
	postRoll    time.Duration        // of the ad break behind the end, 0 for none
	expiry      *time.Timer          // runs while they wait
	deadline    time.Time            // when they expire
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

// release takes f off the channel and lets the windows wait for the next. A
// stream that was not live does not make them wait any longer.
func (b *Broadcast) release(f *Feed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.feed != f {
		return
	}
	b.feed, b.streamID = nil, ""
	switch {
	case b.closed:
	case b.windows == nil:
		b.giveBack()
	default:
		b.update()
		if f.live.Load() {
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

// begin puts f's stream on air: in the windows where the last stream left off, or
// in new ones. It returns the lead and where on its timeline the stream begins.
func (b *Broadcast) begin(f *Feed) (*packager.Window, media.Ticks, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.channel, b.postRoll = f.session.Channel, f.postRoll
	b.patience = b.m.Grace
	if rc := f.session.RecordingConfiguration; rc != nil {
		b.patience = max(b.patience, rc.ReconnectWindow())
	}
	// A change of the latency mode may have come while the publisher did.
	if b.windows != nil && (b.windows.lead.Info().Ended || b.latencyMode != b.channel.LatencyMode) {
		if err := b.remove(); err != nil {
			return nil, 0, err
		}
	}
	if b.windows == nil {
		if err := b.open(); err != nil {
			return nil, 0, err
		}
	}
	start := b.windows.position()
	if at, ok := b.m.Recorder.Position(b.channel.ARN); ok {
		start = max(start, at)
	}
	b.streamID = f.id
	b.update()
	b.windows.setMediaBase()
	return b.windows.lead, start, nil
}

// open opens or recovers the channel's lead window.
func (b *Broadcast) open() error {
	b.latencyMode = b.channel.LatencyMode
	r := &renditions{
		dir:       filepath.Join(b.m.Dir, b.id),
		noParts:   b.channel.LatencyMode == resource.NormalLatency,
		mediaBase: func(rendition string) string { return b.m.MediaBase(&b.channel, rendition) },
		sisterURI: b.m.SisterURI,
		log:       b.log,
	}
	if err := r.openLead(); err != nil {
		return err
	}
	b.windows = r
	return nil
}

// arrange lets these be the renditions from now on, and returns them with their
// windows.
func (b *Broadcast) arrange(wanted []Rendition) []Rendition {
	b.mu.Lock()
	defer b.mu.Unlock()
	gone := b.windows.arrange(wanted)
	b.update()
	for _, old := range gone {
		b.windows.discard(old.Name, old.Window)
	}
	return b.windows.offered
}

// offerLead offers viewers the source, for there are no other pictures.
func (b *Broadcast) offerLead() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.windows.offerLead()
	b.update()
}

// interrupt says that nothing more comes from the stream.
func (b *Broadcast) interrupt() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.windows.each((*packager.Window).Interrupt)
}

// show lets viewers see the broadcast, now that there is something to be seen.
func (b *Broadcast) show() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.view.Store(b.asSeen())
}

// update takes a change over into what viewers see, if they see b yet.
func (b *Broadcast) update() {
	if b.view.Load() != nil {
		b.view.Store(b.asSeen())
	}
}

func (b *Broadcast) asSeen() *View {
	return &View{Channel: b.channel, Window: b.windows.lead, Renditions: b.windows.offered, StreamID: b.streamID}
}

// wait lets the windows end after d unless a publisher comes.
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
	if b.feed != nil || b.windows == nil || b.closed || time.Until(b.deadline) > 0 {
		return
	}
	if b.windows.lead.Info().Ended {
		if err := b.remove(); err != nil {
			b.log.Error("live window cannot be removed", "error", err)
		}
		return
	}
	b.endPlaylists(b.postRoll)
	b.log.Info("broadcast ended")
	b.wait(afterlife)
}

// changed lets a change of who may watch count at once, and ends a broadcast
// whose channel is gone or is delivered in another way from now on.
func (b *Broadcast) changed(ch resource.Channel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.channel
	if b.windows == nil || b.closed {
		return
	}
	if ch.ARN != "" {
		// Before the publisher is looked at: one who connects just now may leave
		// again before the stream is on air.
		b.channel = ch
		b.update()
		b.windows.setMediaBase()
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
		b.endPlaylists(0)
		b.wait(afterlife)
	}
}

// remove takes the windows away. The folder is free for new ones, even when an
// error says that the old files are not all gone.
func (b *Broadcast) remove() error {
	b.giveBack()
	r := b.windows
	b.windows = nil
	b.view.Store(nil)
	return r.remove()
}

// shutdown ends the stream and closes the windows, all to be gone on with at
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
	b.giveBack()
	if b.windows == nil {
		return
	}
	if err := b.windows.each((*packager.Window).Close); err != nil {
		b.log.Error("live window cannot be closed", "error", err)
	}
}
