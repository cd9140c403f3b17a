package broadcast

import (
	"fmt"
	"time"

	"anabranch/internal/resource"
)

// bitrateWindow is over how many seconds the bitrate is taken, bitrateSlack by
// how many percent it may exceed its limit.
const (
	bitrateWindow = 30
	bitrateSlack  = 5
)

// meter sums up what came in the last 30 seconds, in buckets of one. As it
// takes the sum and not a mean, a flood is noticed as soon as it has used up
// half a minute's worth, and the burst at a stream's start is none.
type meter struct {
	sum     int64                // bytes
	buckets [bitrateWindow]int64 // second n in bucket n % bitrateWindow
	newest  int64                // the second of the newest
}

// add counts n bytes that came in a second, which never goes back.
func (m *meter) add(n int, second int64) {
	m.newest = max(m.newest, second-bitrateWindow)
	for m.newest < second {
		m.newest++
		oldest := &m.buckets[m.newest%bitrateWindow]
		m.sum -= *oldest
		*oldest = 0
	}
	m.buckets[second%bitrateWindow] += int64(n)
	m.sum += int64(n)
}

// mean is in bit/s, over a whole window even if there was less.
func (m *meter) mean() int64 { return m.sum * 8 / bitrateWindow }

// Received tells that a message of n bytes of media came, whatever becomes of
// it. An error, a *[Refused], ends the stream: the bitrate is over the limit of
// the channel's type. It is called on the goroutine of Describe and Write.
func (f *Feed) Received(n int) error {
	f.meter.add(n, int64(time.Since(f.began)/time.Second))
	limit, mean := f.maxBitrate, f.meter.mean()
	if mean <= limit+limit*bitrateSlack/100 {
		return nil
	}
	return f.breach(resource.IngestBitrate, resource.BitsPerSecond, limit, mean,
		fmt.Sprintf("the stream's bitrate of %.2f Mbit/s is over the limit of %.1f Mbit/s", float64(mean)/1e6, float64(limit)/1e6))
}

// checkResolution refuses pictures that are too large.
func (f *Feed) checkResolution(width, height int) error {
	size := fmt.Sprintf("the picture of %dx%d", width, height)
	if n := int64(width) * int64(height); n > resource.MaxPixels {
		return f.breach(resource.IngestResolution, resource.TotalPixels, resource.MaxPixels, n,
			fmt.Sprintf("%s has %d pixels, over the limit of %d: send 1920x1080 or less", size, n, resource.MaxPixels))
	}
	if n := int64(max(width, height)); n > resource.MaxEdge {
		return f.breach(resource.IngestResolution, resource.PixelsPerEdge, resource.MaxEdge, n,
			fmt.Sprintf("%s has an edge of %d pixels, over the limit of %d", size, n, resource.MaxEdge))
	}
	return nil
}

// checkDuration refuses a stream to go on that has lasted for age.
func (f *Feed) checkDuration(age time.Duration) error {
	if age <= resource.MaxStreamDuration {
		return nil
	}
	const limit = int64(resource.MaxStreamDuration / time.Second)
	lasted := int64((age + time.Second - 1) / time.Second)
	return f.breach(resource.StreamDuration, resource.Seconds, limit, lasted,
		fmt.Sprintf("the stream has lasted %d s, over the limit of %d s (48 hours): begin a new one", lasted, limit))
}

// breach is the error that ends a stream over a limit.
func (f *Feed) breach(name, unit string, limit, value int64, reason string) error {
	return &Refused{Code: CodeRejected, Reason: reason, breach: &resource.LimitBreachDetail{
		LimitName: name, LimitValue: limit, ExceededBy: value - limit, LimitUnit: unit,
		ChannelName: f.session.Channel.Name, StreamID: f.id,
	}}
}
