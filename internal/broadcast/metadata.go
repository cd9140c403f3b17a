package broadcast

import (
	"time"

	"anabranch/internal/resource"
)

// How often metadata is taken, as IVS allows.
const (
	metadataRate    = 5   // a second, for one channel
	allMetadataRate = 155 // a second, for all together
)

// PutMetadata hands payload to every viewer of a channel at one place of the
// stream, the newest there is, live and in the recording. It is NotBroadcasting
// when nobody publishes, Throttled when that was asked for too often. After a nil
// error it is in the part that is being made: a kill of the server loses both.
func (m *Manager) PutMetadata(channel resource.ARN, payload string) error {
	f := m.feed(channel)
	if f == nil {
		return resource.NotBroadcastingError(channel)
	}
	if !m.mayPutMetadata(f.b) {
		return resource.Errorf(resource.Throttled, "metadata: at most %d a second for a channel, and %d for all, are taken",
			metadataRate, allMetadataRate)
	}
	return f.putMetadata(channel, payload)
}

// mayPutMetadata counts a call, unless it is one too many.
func (m *Manager) mayPutMetadata(b *Broadcast) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if !b.metadata.admits(now, metadataRate) || !m.metadata.admits(now, allMetadataRate) {
		return false
	}
	b.metadata.take(now, metadataRate)
	m.metadata.take(now, allMetadataRate)
	return true
}

func (f *Feed) putMetadata(channel resource.ARN, payload string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.cutter == nil {
		return resource.NotBroadcastingError(channel)
	}
	if !f.cutter.PutMetadata([]byte(payload)) {
		return resource.Errorf(resource.Throttled, "metadata: too much waits for the publisher's next picture")
	}
	return nil
}

// allowance admits so many calls a second, and as many at once after a pause
// (the generic cell rate algorithm, ITU-T I.371). The zero value is ready to use.
type allowance struct{ until time.Time } // those that were admitted would take, one by one

func (a *allowance) admits(now time.Time, rate int) bool {
	return a.until.Sub(now) <= time.Second-time.Second/time.Duration(rate)
}

func (a *allowance) take(now time.Time, rate int) {
	if a.until.Before(now) {
		a.until = now
	}
	a.until = a.until.Add(time.Second / time.Duration(rate))
}
