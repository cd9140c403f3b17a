package broadcast

import (
	"fmt"
	"time"

	"anabranch/internal/media"
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

// rescale lets what came under another limit count for the same share of a new
// one.
func (m *meter) rescale(before, limit int64) {
	m.sum = 0
	for i, n := range m.buckets {
		m.buckets[i] = n * limit / before
		m.sum += m.buckets[i]
	}
}

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

// maxPace bounds how much media may come in the seconds of bitrateWindow, in
// seconds. A publisher that was cut off for as long as it may be silent sends
// twice as much when it is back.
const maxPace = 3 * bitrateWindow

// checkPace counts a frame of n bytes on the stream's own time, which costs
// memory and files whatever the server's clock says. Together with the bitrate
// of what arrives, its bounds hold for all that is made of it: media may not
// stand still while bytes come, nor run ahead without any.
func (f *Feed) checkPace(n int) error {
	at := f.clock.videoEnd
	f.dense.add(n, int64(at/media.VideoRate))
	f.pace.add(int(at-f.placed), int64(time.Since(f.began)/time.Second))
	f.placed = at
	if limit, mean := f.maxBitrate, f.dense.mean(); mean > limit+limit*bitrateSlack/100 {
		return f.breach(resource.IngestBitrate, resource.BitsPerSecond, limit, mean,
			fmt.Sprintf("the media's bitrate of %.2f Mbit/s, by its own clock, is over the limit of %.1f Mbit/s", float64(mean)/1e6, float64(limit)/1e6))
	}
	if f.pace.sum > maxPace*media.VideoRate {
		return &Refused{Code: CodeRejected, Reason: "the media comes faster than it plays: send it at its own pace (ffmpeg -re)"}
	}
	return nil
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
