package capture

import (
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/recorder"
	"anabranch/internal/rtc"
)

var everything = keep{sound: true, pictures: true, media: true}

// situation is what a publisher does, and what is recorded of it.
type situation struct {
	name string
	keep keep // everything if left out
	does func(g *guest)
	want recorded
}

var situations = []situation{{
	name: "sound and pictures",
	does: func(g *guest) { g.both(10 * time.Second) },
	want: recorded{length: 10 * time.Second, stretches: 1, pictures: 250, sound: 10 * time.Second},
}, {
	name: "pictures come first",
	does: func(g *guest) {
		g.publish(2*time.Second, false, true)
		g.both(2 * time.Second)
	},
	want: recorded{length: 4 * time.Second, stretches: 1, pictures: 100, sound: 2 * time.Second},
}, {
	name: "sound comes first: the first picture stands there from the beginning",
	does: func(g *guest) {
		g.publish(2*time.Second, true, false)
		g.both(2 * time.Second)
	},
	want: recorded{length: 4 * time.Second, stretches: 1, pictures: 50, copies: 2, sound: 4 * time.Second},
}, {
	name: "pictures that come after the patience: black until then",
	does: func(g *guest) {
		g.publish(5*time.Second, true, false)
		g.both(2 * time.Second)
	},
	want: recorded{length: 7 * time.Second, stretches: 2, pictures: 50, black: 5, sound: 7 * time.Second},
}, {
	name: "no pictures are negotiated",
	does: func(g *guest) {
		g.pictures = false
		g.publish(5*time.Second, true, false)
	},
	want: recorded{length: 5 * time.Second, stretches: 1, black: 5, sound: 5 * time.Second},
}, {
	name: "no sound is negotiated",
	does: func(g *guest) {
		g.sound = false
		g.publish(5*time.Second, false, true)
	},
	want: recorded{length: 5 * time.Second, stretches: 1, pictures: 125},
}, {
	name: "pictures pause: copies come, and then a key frame",
	does: func(g *guest) {
		g.both(3 * time.Second)
		g.publish(10*time.Second, true, false)
		g.both(3 * time.Second)
	},
	want: recorded{length: 16 * time.Second, stretches: 1, pictures: 149, copies: 9, sound: 16 * time.Second},
}, {
	name: "a key frame of 2 MB: its copies come less often",
	does: func(g *guest) {
		g.number++
		g.send(rtc.Frame{Kind: media.Video, Key: true, Video: g.size, Payload: make([]byte, 2<<20)})
		g.publish(20*time.Second, true, false)
	},
	want: recorded{length: 20 * time.Second, stretches: 1, pictures: 0, copies: 6, sound: 20 * time.Second, longest: 4 * time.Second},
}, {
	name: "pictures pause for a moment: the last one lasts on",
	does: func(g *guest) {
		g.both(3 * time.Second)
		g.publish(1400*time.Millisecond, true, false)
		g.both(3 * time.Second)
	},
	want: recorded{length: 7400 * time.Millisecond, stretches: 1, pictures: 150, sound: 7400 * time.Millisecond, longest: 1440 * time.Millisecond},
}, {
	name: "one picture a second",
	does: func(g *guest) {
		for range 10 {
			g.picture()
			g.publish(time.Second, true, false)
		}
	},
	want: recorded{length: 10 * time.Second, stretches: 1, pictures: 10, sound: 10 * time.Second, longest: time.Second},
}, {
	name: "sound pauses",
	does: func(g *guest) {
		g.both(3 * time.Second)
		g.publish(6*time.Second, false, true)
		g.both(3 * time.Second)
	},
	want: recorded{length: 12 * time.Second, stretches: 1, pictures: 300, sound: 6 * time.Second},
}, {
	name: "both pause for a minute",
	does: func(g *guest) {
		g.both(3 * time.Second)
		time.Sleep(time.Minute)
		g.both(3 * time.Second)
	},
	want: recorded{length: 66 * time.Second, stretches: 1, pictures: 149, copies: 59, sound: 6 * time.Second},
}, {
	name: "pictures alone pause to the end",
	does: func(g *guest) {
		g.sound = false
		g.publish(3*time.Second, false, true)
		time.Sleep(20 * time.Second)
	},
	want: recorded{length: 10500 * time.Millisecond, stretches: 1, pictures: 75, copies: 7},
}, {
	name: "pictures pause, and go on in another size",
	does: func(g *guest) {
		g.both(3 * time.Second)
		g.publish(10*time.Second, true, false)
		g.size, g.key = size(320, 0), true
		g.both(10 * time.Second)
	},
	want: recorded{length: 23 * time.Second, stretches: 2, pictures: 313, copies: 10, sound: 23 * time.Second},
}, {
	name: "a connection that is lost ends with the last that came of it",
	does: func(g *guest) {
		g.both(3 * time.Second)
		time.Sleep(10 * time.Second)
	},
	want: recorded{length: 3 * time.Second, stretches: 1, pictures: 75, sound: 3 * time.Second},
}, {
	name: "another connection takes over from one that was lost: nobody's time is left out",
	does: func(g *guest) {
		g.both(3 * time.Second)
		time.Sleep(2 * time.Second)
		g.connection, g.key = 2, true
		g.both(3 * time.Second)
	},
	want: recorded{length: 6 * time.Second, stretches: 2, pictures: 150, sound: 6 * time.Second, away: 2 * time.Second},
}, {
	name: "another connection takes over at once",
	does: func(g *guest) {
		g.both(3 * time.Second)
		time.Sleep(time.Second)
		g.connection, g.key = 2, true
		g.both(3 * time.Second)
	},
	want: recorded{length: 7 * time.Second, stretches: 2, pictures: 150, sound: 6 * time.Second},
}, {
	name: "another connection takes over shortly after an object began, in another size, sound first",
	does: func(g *guest) {
		g.both(2500 * time.Millisecond)
		time.Sleep(10 * time.Second)
		g.connection, g.size, g.key = 2, size(1280, 0), true
		g.publish(300*time.Millisecond, true, false)
		g.both(3 * time.Second)
	},
	want: recorded{length: 5800 * time.Millisecond, stretches: 2, pictures: 138, copies: 1, sound: 5800 * time.Millisecond, away: 10 * time.Second},
}, {
	name: "and a third from the second, each long away",
	does: func(g *guest) {
		g.both(3 * time.Second)
		for n := range uint64(2) {
			time.Sleep(20 * time.Second)
			g.connection, g.key = 2+n, true
			g.both(3 * time.Second)
		}
	},
	want: recorded{length: 25 * time.Second, stretches: 3, pictures: 225, copies: 14, sound: 9 * time.Second, away: 24 * time.Second},
}, {
	name: "sound alone is taken over",
	keep: keep{sound: true, media: true, alone: true},
	does: func(g *guest) {
		g.publish(3*time.Second, true, false)
		time.Sleep(5 * time.Second)
		g.connection = 2
		g.publish(3*time.Second, true, false)
	},
	want: recorded{length: 6 * time.Second, stretches: 2, sound: 6 * time.Second, away: 5 * time.Second},
}, {
	name: "another connection takes over, without pictures",
	does: func(g *guest) {
		g.both(3 * time.Second)
		g.connection, g.pictures = 2, false
		g.publish(3*time.Second, true, false)
	},
	want: recorded{length: 6 * time.Second, stretches: 2, pictures: 75, black: 2, sound: 6 * time.Second},
}, {
	name: "the size changes",
	does: func(g *guest) {
		g.both(3500 * time.Millisecond)
		g.size, g.key = size(1280, 0), true
		g.both(2500 * time.Millisecond)
	},
	want: recorded{length: 6 * time.Second, stretches: 2, pictures: 151, sound: 6 * time.Second},
}, {
	name: "other parameter sets of the same size",
	does: func(g *guest) {
		g.both(3500 * time.Millisecond)
		g.size, g.key = size(640, 1), true
		g.both(2500 * time.Millisecond)
	},
	want: recorded{length: 6 * time.Second, stretches: 2, pictures: 151, sound: 6 * time.Second},
}, {
	name: "the size changes at once: the first second is of one size",
	does: func(g *guest) {
		g.both(400 * time.Millisecond)
		g.size, g.key = size(1280, 0), true
		g.both(3 * time.Second)
	},
	want: recorded{length: 3400 * time.Millisecond, stretches: 2, pictures: 69, sound: 3400 * time.Millisecond},
}, {
	name: "the size changes where an object has just begun",
	does: func(g *guest) {
		g.both(2120 * time.Millisecond)
		g.size, g.key = size(1280, 0), true
		g.both(3 * time.Second)
	},
	want: recorded{length: 5120 * time.Millisecond, stretches: 2, pictures: 104, sound: 5120 * time.Millisecond, longest: 960 * time.Millisecond},
}, {
	name: "the size changes all the time",
	does: func(g *guest) {
		for n := range 50 {
			g.size, g.key = size(320+16*n, 0), true
			g.both(200 * time.Millisecond)
		}
	},
	want: recorded{length: 10 * time.Second, stretches: 10, pictures: 50, sound: 10 * time.Second},
}, {
	name: "pictures are lost",
	does: func(g *guest) {
		g.both(3 * time.Second)
		g.publish(time.Second, true, false)
		g.send(rtc.Frame{Kind: media.Video, Key: true, Video: g.size, Payload: []byte{0, 0, 1, 0}, Lost: time.Second})
		g.number = 256
		g.both(3 * time.Second)
	},
	want: recorded{length: 7 * time.Second, stretches: 1, pictures: 151, sound: 7 * time.Second, longest: 1040 * time.Millisecond},
}, {
	name: "sound is lost",
	does: func(g *guest) {
		g.both(3 * time.Second)
		g.publish(time.Second, false, true)
		g.send(rtc.Frame{Kind: media.Audio, Key: true, Payload: []byte{0xfc}, Lost: time.Second})
		g.both(3 * time.Second)
	},
	want: recorded{length: 7 * time.Second, stretches: 1, pictures: 175, sound: 6 * time.Second},
}, {
	name: "the voice is dead: silence",
	does: func(g *guest) {
		g.voice.dead = true
		g.both(10 * time.Second)
	},
	want: recorded{length: 10 * time.Second, stretches: 1, pictures: 250},
}, {
	name: "the voice is dead, for a second",
	does: func(g *guest) {
		g.voice.dead = true
		g.both(time.Second)
	},
	want: recorded{length: time.Second, stretches: 1, pictures: 25},
}, {
	name: "a tenth of a second is recorded",
	does: func(g *guest) { g.both(100 * time.Millisecond) },
	want: recorded{length: 100 * time.Millisecond, stretches: 1, pictures: 3, sound: 100 * time.Millisecond},
}, {
	name: "nothing comes: nothing is recorded",
	does: func(g *guest) { time.Sleep(time.Minute) },
}, {
	name: "1000 pictures a second",
	does: func(g *guest) {
		for range 3000 {
			if g.number%20 == 0 {
				g.packet()
			}
			g.picture()
			time.Sleep(time.Millisecond)
		}
	},
	want: recorded{length: 3 * time.Second, stretches: 1, pictures: 3000, sound: 3 * time.Second},
}, {
	name: "times that stand still",
	does: func(g *guest) {
		at := time.Now()
		for range 100 {
			g.key = g.number%10 == 0
			g.number++
			g.send(rtc.Frame{Kind: media.Video, Key: g.key, Video: g.size, Payload: []byte{0, 0, 0, byte(g.number)}, Time: at})
			g.publish(40*time.Millisecond, true, false)
		}
	},
	want: recorded{length: 4 * time.Second, stretches: 1, pictures: 100, copies: 3, sound: 4 * time.Second},
}, {
	name: "parameter sets that no player can be told of",
	does: func(g *guest) {
		g.size = &media.VideoParams{SPS: []byte{0x67, 66, 0, 30}, PPS: []byte{0x68}, Width: 640, Height: 360}
		g.both(5 * time.Second)
	},
	want: recorded{length: 5 * time.Second, stretches: 1, black: 5, sound: 5 * time.Second},
}, {
	name: "times hours ahead and behind",
	does: func(g *guest) {
		for n := range 100 {
			g.number++
			f := rtc.Frame{Kind: media.Video, Key: n == 0, Video: g.size, Payload: []byte{0, 0, 0, byte(g.number)}}
			f.Time = time.Now().Add(time.Duration(n%3-1) * 5 * time.Hour)
			g.send(f)
			g.publish(40*time.Millisecond, true, false)
		}
	},
	want: recorded{length: 14 * time.Second, stretches: 1, pictures: 1, copies: 13, sound: 4 * time.Second},
}, {
	name: "sound alone is kept: what the pictures do is no matter",
	keep: keep{sound: true, pictures: true, media: true, alone: true},
	does: func(g *guest) {
		g.both(3 * time.Second)
		g.size, g.key = size(1280, 0), true
		g.both(3 * time.Second)
	},
	want: recorded{length: 6 * time.Second, stretches: 1, sound: 6 * time.Second},
}, {
	name: "sound alone, without thumbnails: nobody looks at pictures",
	keep: keep{sound: true, media: true, alone: true},
	does: func(g *guest) { g.both(6 * time.Second) },
	want: recorded{length: 6 * time.Second, stretches: 1, sound: 6 * time.Second},
}, {
	name: "thumbnails alone",
	keep: keep{pictures: true},
	does: func(g *guest) { g.both(6 * time.Second) },
	want: recorded{length: 6 * time.Second, stretches: 1, pictures: 150},
}}

func TestSituations(t *testing.T) {
	for _, tt := range situations {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.keep == (keep{}) {
					tt.keep = everything
				}
				g := newGuest(t, tt.keep)
				tt.does(g)
				g.leave()
				got := g.take.check()
				t.Log(got)
				if !near(got.length, tt.want.length) || !near(got.sound, tt.want.sound) {
					t.Errorf("%v are recorded with %v of sound, want %v with %v", got.length, got.sound, tt.want.length, tt.want.sound)
				}
				if got.stretches != tt.want.stretches || got.pictures != tt.want.pictures || got.copies != tt.want.copies || got.black != tt.want.black {
					t.Errorf("want %d stretches, %d pictures, %d copies, %d black ones", tt.want.stretches, tt.want.pictures, tt.want.copies, tt.want.black)
				}
				if !near(got.away, tt.want.away) {
					t.Errorf("%v are left out, want %v", got.away, tt.want.away)
				}
				if tt.want.longest > 0 && !near(got.longest, tt.want.longest) {
					t.Errorf("a picture lasts for %v, want %v", got.longest, tt.want.longest)
				}
				if got.longest > 8*time.Second {
					t.Errorf("a picture lasts for %v", got.longest)
				}
			})
		})
	}
}

// near allows for the frames of AAC, which are longer than packets.
func near(a, b time.Duration) bool { return (a - b).Abs() <= 50*time.Millisecond }

// Objects end at the first key frame when they are long enough: the publisher is asked
// for it then, and not more often.
func TestObjectsEndAtKeyFramesThatAreAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, everything)
		g.both(5500 * time.Millisecond)
		g.size, g.key = size(1280, 0), true
		g.both(15 * time.Second)
		g.leave()
		g.take.check()
		for i, o := range g.take.objects[:len(g.take.objects)-1] {
			d := o.Duration(media.VideoRate)
			if changed := i == 2; !changed && (d < 2*time.Second || d > 2100*time.Millisecond) || changed && d > 1500*time.Millisecond {
				t.Errorf("object %d is %v long", i, d)
			}
		}
		if g.asked != 9 {
			t.Errorf("the publisher was asked for %d key frames, want 9", g.asked)
		}
	})
}

// A publisher who sends no key frames is recorded all the same, and not pestered.
func TestPublisherThatSendsNoKeyFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, everything)
		g.obeys = false
		g.both(20 * time.Second)
		g.leave()
		if got := g.take.check(); got.pictures != 500 {
			t.Errorf("%d pictures are recorded, want 500", got.pictures)
		}
		if g.asked != 1 {
			t.Errorf("the publisher was asked for %d key frames; the lane asks again by itself", g.asked)
		}
	})
}

// What the network lost is told with the part that it begins in.
func TestLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, everything)
		g.both(3 * time.Second)
		from := time.Now()
		g.publish(time.Second, true, false)
		g.number += 50
		g.number++
		g.send(rtc.Frame{Kind: media.Video, Key: true, Video: g.size, Payload: []byte{0, 0, 0, byte(g.number)}, Lost: time.Second})
		g.publish(500*time.Millisecond, false, true)
		g.send(rtc.Frame{Kind: media.Audio, Key: true, Payload: []byte{0xfc}, Lost: 200 * time.Millisecond})
		g.both(time.Second)
		g.leave()
		g.take.check()
		want := []recorder.Loss{
			{Kind: media.Video, From: from, Duration: time.Second},
			{Kind: media.Audio, From: from.Add(1300 * time.Millisecond), Duration: 200 * time.Millisecond},
		}
		if len(g.take.losses) != len(want) {
			t.Fatalf("told are %v", g.take.losses)
		}
		for i, l := range g.take.losses {
			if l.Kind != want[i].Kind || !near(l.From.Sub(want[i].From), 0) || !near(l.Duration, want[i].Duration) {
				t.Errorf("told is %+v, want %+v", l, want[i])
			}
		}
	})
}

// Of sound alone nobody misses pictures.
func TestLossOfPicturesThatAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, keep{sound: true, pictures: true, media: true, alone: true})
		g.both(3 * time.Second)
		g.number++
		g.send(rtc.Frame{Kind: media.Video, Key: true, Video: g.size, Payload: []byte{0, 0, 0, byte(g.number)}, Lost: time.Second})
		g.both(time.Second)
		g.leave()
		if len(g.take.losses) > 0 {
			t.Errorf("told are %v", g.take.losses)
		}
	})
}

// What a kill of the server loses is what is not recorded yet.
func TestAtRisk(t *testing.T) {
	for _, tt := range []struct {
		name string
		does func(g *guest)
		want time.Duration
	}{
		{"both flow", func(g *guest) { g.both(20 * time.Second) }, 450 * time.Millisecond},
		{"no pictures are negotiated", func(g *guest) {
			g.pictures = false
			g.publish(20*time.Second, true, false)
		}, 1100 * time.Millisecond},
		{"no sound is negotiated", func(g *guest) {
			g.sound = false
			g.publish(20*time.Second, false, true)
		}, 1100 * time.Millisecond},
		{"pictures pause", func(g *guest) {
			g.both(3 * time.Second)
			g.publish(20*time.Second, true, false)
		}, patience + 2*time.Second},
		{"sound pauses", func(g *guest) {
			g.both(3 * time.Second)
			g.publish(20*time.Second, false, true)
		}, patience + 700*time.Millisecond},
		{"the voice is dead", func(g *guest) {
			g.voice.dead = true
			g.both(20 * time.Second)
		}, stuckAfter + 2*time.Second},
		{"both pause", func(g *guest) {
			g.both(3 * time.Second)
			time.Sleep(30 * time.Second)
		}, quiet + 2*time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGuest(t, everything)
				tt.does(g)
				synctest.Wait()
				most := max(g.take.atRisk, time.Since(g.take.until))
				g.leave()
				t.Log(most)
				if most > tt.want {
					t.Errorf("up to %v are not recorded, want %v at most", most, tt.want)
				}
			})
		})
	}
}

// Pictures that come when copies are in their place are left out: what follows goes on
// with a key frame, be it of another size.
func TestLatePictures(t *testing.T) {
	for late := 3 * time.Second; late < 7*time.Second; late += 250 * time.Millisecond {
		for _, width := range []int{640, 1280} {
			synctest.Test(t, func(t *testing.T) {
				g := newGuest(t, everything)
				g.both(3 * time.Second)
				g.publish(8*time.Second, true, false)
				g.size, g.key = size(width, 0), true
				for late := late; late > 0; late -= 40 * time.Millisecond {
					f := rtc.Frame{Kind: media.Video, Key: g.key, Video: g.size, Time: time.Now().Add(-late)}
					g.key = false
					g.number++
					f.Payload = binary.BigEndian.AppendUint32(nil, g.number)
					g.send(f)
				}
				g.both(3 * time.Second)
				g.leave()
				if got := g.take.check(); !near(got.length, 14*time.Second) || got.pictures < 140 {
					t.Errorf("%v late, %d wide: %v, asked %d", late, width, got, g.asked)
				}
			})
		}
	}
}

// Sound that came, but was not transcoded, is marked as lost.
func TestVoiceThatIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, everything)
		g.both(3 * time.Second)
		g.voice.dead = true
		g.both(9 * time.Second)
		g.leave()
		var lost time.Duration
		g.take.check()
		for _, l := range g.take.losses {
			if l.Kind == media.Audio {
				lost += l.Duration
			}
		}
		if lost < 8*time.Second || lost > 9100*time.Millisecond {
			t.Errorf("%v of sound are marked as lost, want 9s: %v", lost, g.take.losses)
		}
	})
}

// A take that fails ends the capture, and nothing else.
func TestTakeThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, everything)
		g.both(2 * time.Second)
		synctest.Wait()
		g.take.err = errors.New("spool full")
		g.publish(time.Second, true, true)
		select {
		case <-g.over:
		default:
			t.Error("the capture goes on")
		}
		if !g.take.ended || !g.voice.closed {
			t.Errorf("the take has ended: %v, the voice is closed: %v", g.take.ended, g.voice.closed)
		}
	})
}

// What has come by the end is recorded, be the capture behind.
func TestBacklogAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuest(t, everything)
		g.both(3 * time.Second)
		for range 50 {
			g.number++
			now := time.Now()
			g.frames <- rtc.Frame{
				Kind: media.Video, Video: g.size, Connection: 1, Time: now, Arrived: now, Payload: binary.BigEndian.AppendUint32(nil, g.number),
			}
		}
		g.leave()
		if got := g.take.check(); got.pictures != 125 {
			t.Errorf("%d pictures are recorded, want 125", got.pictures)
		}
	})
}

// A source that is closed ends the capture too, and so does a reader that panics.
func TestSourceThatIsClosed(t *testing.T) {
	for _, broken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuest(t, everything)
			g.both(2 * time.Second)
			g.broken = broken
			close(g.closed)
			<-g.over
			if got := g.take.check(); !near(got.length, 2*time.Second) {
				t.Errorf("%v is recorded", got)
			}
		})
	}
}
