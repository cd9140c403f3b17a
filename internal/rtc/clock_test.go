package rtc

import (
	"cmp"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"

	"anabranch/internal/media"
)

// trip is how one publisher's clocks run and what its network does.
type trip struct {
	sender  float64                     // how much faster its clock runs than the server's
	sound   float64                     // and its sound card than that
	delay   [kinds]time.Duration        // the least
	jitter  time.Duration               // on top, anything up to it
	reports time.Duration               // between two sender reports; 0: none
	first   time.Duration               // until the first
	leap    time.Duration               // the sender's clock leaps by, after half of the time
	pause   time.Duration               // of sound, after half of the time, in which its time stamps stand still
	slow    time.Duration               // on top, in the first three seconds
	stamps  time.Duration               // time stamps of sound leap by, after half of the time
	stall   time.Duration               // nothing comes through for as long, after half of the time
	forge   func(sr *rtcp.SenderReport) // changes what is reported
}

// clockErrors are how far times were from the truth, at most.
type clockErrors struct {
	apart, off, late time.Duration // sound and pictures; from the truth; behind their arrival
	pictures, sounds int
}

// event is something that comes out of a publisher's network.
type event struct {
	at     time.Duration
	packet []byte
	report *rtcp.SenderReport
	kind   kind
}

// every is how often something is sent: over a long time not all of it.
func (tr trip) every(k kind, lasts time.Duration) time.Duration {
	often := [kinds]time.Duration{audio: 20 * time.Millisecond, video: 33 * time.Millisecond}[k]
	if lasts >= time.Hour {
		often *= 3
	}
	return often
}

// travel lets a publisher publish for a while, and returns the times that a reader
// told, by when what they are of was captured.
func (tr trip) travel(t *testing.T, src *Source, lasts time.Duration, seed uint64) (errs func(from, to time.Duration) clockErrors) {
	pub := publish(t, src, Limits{})
	streams := [kinds]*stream{audio: pub.stream(audio, 1), video: pub.stream(video, 2)}
	random := rand.New(rand.NewPCG(seed, 1))
	began := time.Now()
	var events []event
	send := func(k kind, captured time.Duration, stamp uint32, payloads ...[]byte) {
		at := captured + tr.delay[k] + time.Duration(random.Int64N(int64(tr.jitter)+1))
		if captured < 3*time.Second {
			at += tr.slow
		}
		if half := lasts / 2; at > half && at < half+tr.stall {
			at = half + tr.stall + time.Duration(random.Int64N(int64(20*time.Millisecond)))
		}
		s := streams[k]
		s.Timestamp = stamp
		for i, payload := range payloads {
			s.Marker = i == len(payloads)-1
			events = append(events, event{at: at, packet: s.packet(payload), kind: k})
		}
	}
	stamped := func(head []byte, captured time.Duration) []byte {
		return binary.BigEndian.AppendUint64(slices.Clone(head), uint64(captured)|1<<63)
	}
	// sender is what the sender's clock shows; stampOf its time stamps.
	sender := func(at time.Duration) time.Duration {
		d := time.Duration(float64(at)*(1+tr.sender)) + 3e6*time.Second
		if at > lasts/2 {
			d += tr.leap
		}
		return d
	}
	stampOf := func(k kind, at time.Duration) uint32 {
		d := time.Duration(float64(at) * (1 + tr.sender))
		if k == audio {
			d = time.Duration(float64(d) * (1 + tr.sound))
			if at > lasts/2 {
				d += tr.stamps - tr.pause
			}
		}
		return ticks(d+50000*time.Second, k)
	}
	for at := time.Duration(0); at < lasts; at += tr.every(audio, lasts) {
		if half := lasts / 2; at < half || at > half+tr.pause {
			send(audio, at, stampOf(audio, at), stamped([]byte{0x08}, at))
		}
	}
	for at, n := 7*time.Millisecond, 0; at < lasts; at, n = at+tr.every(video, lasts), n+1 {
		if n%100 == 0 {
			send(video, at, stampOf(video, at), sps["640x360"], pps, stamped(idr[:2], at))
			continue
		}
		send(video, at, stampOf(video, at), stamped(slice[:2], at))
	}
	for k := range kinds {
		for at := tr.first + time.Duration(k)*130*time.Millisecond; tr.reports > 0 && at < lasts; at += tr.reports {
			sr := &rtcp.SenderReport{NTPTime: ntpTicks(sender(at)), RTPTime: stampOf(k, at)}
			if tr.forge != nil {
				tr.forge(sr)
			}
			events = append(events, event{at: at + tr.delay[k] + 5*time.Millisecond, report: sr, kind: k})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })

	type sample struct{ captured, told, late time.Duration }
	var got [kinds][]sample
	r := src.Read()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			f, err := r.Next(ctx)
			if err != nil {
				return
			}
			k, at := audio, f.Payload
			if f.Kind == media.Video {
				k = video
			}
			captured := time.Duration(binary.BigEndian.Uint64(at[len(at)-8:]) &^ (1 << 63))
			got[k] = append(got[k], sample{captured, f.Time.Sub(began), f.Arrived.Sub(f.Time)})
			if n := len(got[k]); n > 1 && got[k][n-1].told <= got[k][n-2].told {
				t.Errorf("%v: time %v after %v", f.Kind, got[k][n-1].told, got[k][n-2].told)
			}
		}
	}()
	for _, e := range events {
		if wait := e.at - time.Since(began); wait > 0 {
			time.Sleep(wait)
		}
		if e.report != nil {
			streams[e.kind].senderReport(e.report)
		} else {
			streams[e.kind].write(e.packet)
		}
	}
	time.Sleep(2 * Patience)
	synctest.Wait()
	cancel()
	<-done
	r.Close()
	return func(from, to time.Duration) (e clockErrors) {
		for _, a := range got[audio] {
			if a.captured >= from && a.captured < to {
				e.sounds++
			}
		}
		i := 0
		for _, v := range got[video] {
			for i+1 < len(got[audio]) && got[audio][i+1].captured <= v.captured {
				i++
			}
			if v.captured < from || v.captured >= to || len(got[audio]) == 0 {
				continue
			}
			a := got[audio][i]
			e.pictures++
			e.apart = max(e.apart, ((v.told - v.captured) - (a.told - a.captured)).Abs())
			e.off = max(e.off, (v.told - v.captured).Abs(), (a.told - a.captured).Abs())
			e.late = max(e.late, v.late.Abs(), a.late.Abs())
		}
		return e
	}
}

// Sound and pictures of one publisher stay together, whatever its clocks and its network
// do; and as times are this little off the truth, so do several publishers.
func TestClock(t *testing.T) {
	const ppm, ms, s = 1e-6, time.Millisecond, time.Second
	same := [kinds]time.Duration{audio: 10 * ms, video: 10 * ms}
	tests := map[string]struct {
		trip
		lasts time.Duration
	}{
		"true":                     {trip{delay: same, reports: s, first: s}, 10 * time.Minute},
		"jitter":                   {trip{delay: same, jitter: 80 * ms, reports: 5 * s, first: 5 * s}, 10 * time.Minute},
		"fast":                     {trip{sender: 200 * ppm, delay: same, jitter: 80 * ms, reports: 5 * s, first: 5 * s}, time.Hour},
		"slow":                     {trip{sender: -200 * ppm, delay: same, jitter: 80 * ms, reports: 5 * s, first: 5 * s}, time.Hour},
		"a fast sound card":        {trip{sound: 200 * ppm, delay: same, jitter: 80 * ms, reports: 2 * s, first: 5 * s}, 20 * time.Minute},
		"one against the other":    {trip{sender: -200 * ppm, sound: 200 * ppm, delay: same, jitter: 80 * ms, reports: s, first: s}, 10 * time.Minute},
		"pictures are slower":      {trip{delay: [kinds]time.Duration{audio: 10 * ms, video: 30 * ms}, jitter: 80 * ms, reports: s, first: 5 * s}, 10 * time.Minute},
		"no reports":               {trip{sender: 200 * ppm, delay: same, jitter: 80 * ms}, 20 * time.Minute},
		"the sender's clock leaps": {trip{leap: 7 * s, delay: same, jitter: 80 * ms, reports: s, first: s}, 10 * time.Minute},
		"and leaps back":           {trip{leap: -7 * s, delay: same, jitter: 80 * ms, reports: 5 * s, first: s}, 10 * time.Minute},
		"sound stands still":       {trip{pause: time.Minute, delay: same, jitter: 80 * ms, reports: 5 * s, first: s}, 10 * time.Minute},
		"for a short time":         {trip{pause: 2 * s, delay: same, jitter: 80 * ms, reports: 5 * s, first: s}, 10 * time.Minute},
		"for a moment":             {trip{pause: 700 * ms, delay: same, jitter: 80 * ms, reports: 5 * s, first: s}, 10 * time.Minute},
		"time stamps leap":         {trip{stamps: 20 * s, delay: same, jitter: 80 * ms, reports: 5 * s, first: s}, 10 * time.Minute},
		"time stamps leap back":    {trip{stamps: -20 * s, delay: same, jitter: 80 * ms, reports: 5 * s, first: s}, 10 * time.Minute},
		"a slow start":             {trip{slow: 150 * ms, delay: same, jitter: 80 * ms, reports: 5 * s, first: s}, 10 * time.Minute},
		"the network stands still": {trip{stall: 2500 * ms, delay: same, jitter: 80 * ms, reports: 5 * s, first: s}, 10 * time.Minute},
		"reports without a clock": {trip{delay: same, jitter: 80 * ms, reports: s, first: s, forge: func(sr *rtcp.SenderReport) {
			sr.NTPTime = 0
		}}, 10 * time.Minute},
		"reports of another time": {trip{delay: same, jitter: 80 * ms, reports: s, first: s, forge: func(sr *rtcp.SenderReport) {
			sr.RTPTime += 1 << 30
		}}, 10 * time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				errs, half := tt.travel(t, src, tt.lasts, 1), tt.lasts/2
				var untold time.Duration // what only the next report tells from a network that stood still
				if tt.pause < stampBreak {
					untold = tt.pause
				}
				for _, part := range []struct {
					name             string
					from, to         time.Duration
					apart, off, late time.Duration // at most
				}{
					{"first 10 s", 0, 10 * s, 25 * ms, 40*ms + tt.slow, 150*ms + tt.slow},
					{"then", 10 * s, half - 5*s, 15 * ms, 25 * ms, 150 * ms},
					{"about half time", half - 5*s, half + 75*s, 20*ms + untold, 30*ms + untold, Patience},
					{"at last", half + 75*s, tt.lasts, 10 * ms, 25 * ms, 150 * ms},
				} {
					e := errs(part.from, part.to)
					t.Logf("%s: apart by %v, off by %v, behind arrival by %v; %d pictures, %d packets of sound", part.name, e.apart, e.off, e.late, e.pictures, e.sounds)
					lasts := min(part.to, tt.lasts) - part.from
					if want := int(lasts / tt.every(video, tt.lasts)); e.pictures < want-1 {
						t.Errorf("%s: %d pictures of %d", part.name, e.pictures, want)
					}
					if want := int((lasts - tt.pause) / tt.every(audio, tt.lasts)); e.sounds < want-1 {
						t.Errorf("%s: %d packets of sound of %d", part.name, e.sounds, want)
					}
					if e.apart > part.apart || e.off > part.off || e.late > part.late {
						t.Errorf("%s: apart by %v, off by %v, behind arrival by %v; at most %v, %v, %v", part.name, e.apart, e.off, e.late, part.apart, part.off, part.late)
					}
				}
			})
		})
	}
}

// A hostile publisher's reports spoil its own times, within bounds.
func TestClockIsLiedTo(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for name, forge := range map[string]func(*rtcp.SenderReport){
		"any clock":      func(sr *rtcp.SenderReport) { sr.NTPTime = random.Uint64() },
		"any time stamp": func(sr *rtcp.SenderReport) { sr.RTPTime = random.Uint32() },
		"both":           func(sr *rtcp.SenderReport) { sr.NTPTime, sr.RTPTime = random.Uint64(), random.Uint32() },
		"some seconds":   func(sr *rtcp.SenderReport) { sr.NTPTime += random.Uint64N(20 << 32) },
	} {
		t.Run(name, func(t *testing.T) {
			rig(t, func(t *testing.T, src *Source) {
				tr := trip{jitter: 80 * time.Millisecond, reports: time.Second, first: time.Second, forge: forge}
				lasts := 5 * time.Minute
				e := tr.travel(t, src, lasts, 1)(0, lasts)
				t.Logf("off by %v, %d pictures", e.off, e.pictures)
				if e.off > maxDelay+time.Second || e.pictures < int(lasts/tr.every(video, lasts)) {
					t.Errorf("off by %v, %d pictures", e.off, e.pictures)
				}
			})
		})
	}
}
