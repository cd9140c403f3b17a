package app

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// stageMerge is a row of the tables: what participants do, with what reconnect window in
// seconds, and what becomes of it.
type stageMerge struct {
	name   string
	window int
	play   func(h *hall)
	want   []string // as [hall.recordings] tells them
	told   string   // nothing for: start ana s1, end ana s1
	states string   // of the participants in each session; nothing for: ana STOPPED
}

func (tt stageMerge) run(t *testing.T) {
	t.Run(tt.name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := newHall(t, tt.window)
			tt.play(h)
			time.Sleep(10 * time.Minute)
			if tt.states == "" {
				tt.states = "ana STOPPED"
			}
			h.want(tt.want, tt.told, tt.states)
		})
	})
}

// Who is back inside the window goes on with the recording.
func TestStageMergeWindow(t *testing.T) {
	after := func(d time.Duration) func(*hall) {
		return func(h *hall) {
			h.stay("ana", 3*sec)
			time.Sleep(d)
			h.stay("ana", 3*sec)
		}
	}
	const (
		one    = "start ana s1, end ana s1, start ana s1, end ana s1"
		apart  = "start ana s1, end ana s1, start ana s2, end ana s2"
		across = "start ana s1, end ana s2"
		twice  = "ana STOPPED, ana STOPPED"
	)
	for _, tt := range []stageMerge{
		{name: "at once", window: 60, play: after(0), want: []string{"ana1 ana2, s1: 3|3, ended 1m6s"}},
		{name: "after 4 s, never gone", window: 60, play: after(4 * sec), want: []string{"ana1 ana2, s1: 3|3, ended 1m10s"}},
		{name: "after 9 s, gone and back", window: 60, play: after(9 * sec), want: []string{"ana1 ana2, s1: 3|3, ended 1m15s"}},
		{name: "1 s, inside", window: 1, play: after(999 * ms), want: []string{"ana1 ana2, s1: 3|3, ended 7.999s"}},
		{name: "1 s, outside", window: 1, play: after(1001 * ms), want: []string{"ana1, s1: 3, ended 4s", "ana2, s1: 3, ended 8.001s"}, told: one},
		{name: "60 s, inside", window: 60, play: after(59_999 * ms), want: []string{"ana1 ana2, s1: 3|3, ended 2m5.999s"}},
		{name: "60 s, outside", window: 60, play: after(60_001 * ms), want: []string{"ana1, s1: 3, ended 1m3s", "ana2, s1: 3, ended 2m6.001s"}, told: one},
		{name: "300 s, the session ended at 65 s", window: 300, play: after(66 * sec), want: []string{"ana1 ana2, s1 s2: 3|3, ended 6m12s"}, told: across, states: twice},
		{name: "300 s, inside", window: 300, play: after(299_999 * ms), want: []string{"ana1 ana2, s1 s2: 3|3, ended 10m5.999s"}, told: across, states: twice},
		{name: "300 s, outside", window: 300, play: after(300_001 * ms), want: []string{"ana1, s1: 3, ended 5m3s", "ana2, s2: 3, ended 10m6.001s"}, told: apart, states: twice},
		{name: "none", window: 0, play: after(100 * ms), want: []string{"ana1, s1: 3, ended 3s", "ana2, s1: 3, ended 6.1s"}, told: one},
		{name: "through three sessions", window: 300, play: func(h *hall) {
			for range 3 {
				h.stay("ana", 3*sec)
				time.Sleep(70 * sec)
			}
		}, want: []string{"ana1 ana2 ana3, s1 s2 s3: 3|3|3, ended 7m29s"}, told: "start ana s1, end ana s3", states: "ana STOPPED, ana STOPPED, ana STOPPED"},
	} {
		tt.run(t)
	}
}

// How publications end and begin, and who else is there.
func TestStageMergePublications(t *testing.T) {
	for _, tt := range []stageMerge{
		{name: "without media", window: 60, play: func(h *hall) { h.stay("ana", 0) }, told: " "},
		{name: "without media in between", window: 60, play: func(h *hall) {
			h.stay("ana", 3*sec)
			h.stay("ana", 0)
			h.stay("ana", 3*sec)
		}, want: []string{"ana1 ana3, s1: 3|3, ended 1m6s"}},
		{name: "taken over by a new connection", window: 0, play: func(h *hall) {
			h.publish("ana").send(3 * sec)
			h.publish("ana").send(3 * sec).lose()
		}, want: []string{"ana1, s1: 6, ended 6s"}},
		{name: "several at once", window: 60, play: func(h *hall) {
			var all sync.WaitGroup
			for i, who := range []string{"ana", "bob", "cid"} {
				all.Go(func() {
					time.Sleep(time.Duration(i) * sec)
					for range 2 {
						h.stay(who, 3*sec)
						time.Sleep(10 * sec)
					}
				})
			}
			all.Wait()
		}, want: []string{"ana1 ana2, s1: 3|3, ended 1m16s", "bob1 bob2, s1: 3|3, ended 1m17s", "cid1 cid2, s1: 3|3, ended 1m18s"},
			told:   "start ana s1, end ana s1, start bob s1, end bob s1, start cid s1, end cid s1",
			states: "ana STOPPED, bob STOPPED, cid STOPPED"},
		{name: "another publishes in the window", window: 60, play: func(h *hall) {
			h.stay("ana", 3*sec)
			h.stay("bob", 3*sec)
			h.stay("ana", 3*sec)
		}, want: []string{"ana1 ana2, s1: 3|3, ended 1m9s", "bob1, s1: 3, ended 1m6s"},
			told: "start ana s1, end ana s1, start bob s1, end bob s1", states: "ana STOPPED, bob STOPPED"},
		{name: "disconnected", window: 60, play: func(h *hall) {
			h.publish("ana").send(3 * sec)
			h.must("DisconnectParticipant", `{"stageArn":%q,"participantId":"ana"}`, h.stage)
		}, want: []string{"ana1, s1: 3, ended 1m3s"}},
	} {
		tt.run(t)
	}
}

// What happens to stage, configuration and bucket.
func TestStageMergeAfterChange(t *testing.T) {
	refused := func(h *hall, exception string) {
		if exception != "ConflictException" {
			h.Errorf("told %q", exception)
		}
	}
	taken := func(h *hall, exception string) {
		if exception != "" {
			h.Errorf("told %q", exception)
		}
	}
	const two = "start ana s1, end ana s1, start ana s1, end ana s1"
	for _, tt := range []stageMerge{
		{name: "while it is recorded the configuration stays", window: 60, play: func(h *hall) {
			another := h.recording("shows", 60)
			p := h.publish("ana").send(0)
			refused(h, h.update(another)) // STARTING
			p.send(3 * sec)
			refused(h, h.update(another)) // ACTIVE
			p.lose()
			refused(h, h.update(another)) // STOPPING
			time.Sleep(59 * sec)
			refused(h, h.update(another))
			time.Sleep(2 * sec)
			taken(h, h.update(another))
			h.stay("ana", 3*sec)
		}, want: []string{"ana1, s1: 3, ended 1m3s", "ana2, s1: 3, ended 2m7s"}, told: two},
		{name: "it stays in the window when the session is over", window: 300, play: func(h *hall) {
			h.stay("ana", 3*sec)
			time.Sleep(2 * time.Minute)
			refused(h, h.update(h.recording("shows", 300)))
			time.Sleep(4 * time.Minute)
			taken(h, h.update(h.recording("shows", 300)))
		}, want: []string{"ana1, s1: 3, ended 5m3s"}},
		{name: "not recorded any more", window: 0, play: func(h *hall) {
			h.stay("ana", 3*sec)
			time.Sleep(sec)
			taken(h, h.update(`{"storageConfigurationArn":""}`))
			h.stay("ana", 3*sec)
		}, want: []string{"ana1, s1: 3, ended 3s"}},
		{name: "recorded from the next publication on", window: 60, play: func(h *hall) {
			on := h.recording("clips", 60)
			taken(h, h.update(`{"storageConfigurationArn":""}`))
			p := h.publish("ana").send(3 * sec)
			taken(h, h.update(on))
			p.send(3 * sec).lose()
			h.stay("ana", 3*sec)
		}, want: []string{"ana1, s1: 3, ended 1m9s"}},
		{name: "the stage is deleted while it is recorded", window: 60, play: func(h *hall) {
			h.publish("ana").send(3 * sec)
			h.must("DeleteStage", `{"arn":%q}`, h.stage)
		}, want: []string{"ana1, s1: 3, ended 3s"}},
		{name: "the stage is deleted in the window", window: 60, play: func(h *hall) {
			h.stay("ana", 3*sec)
			time.Sleep(5 * sec)
			h.must("DeleteStage", `{"arn":%q}`, h.stage)
		}, want: []string{"ana1, s1: 3, ended 8s"}},
		{name: "the stage is deleted in the window, its session over", window: 300, play: func(h *hall) {
			h.stay("ana", 3*sec)
			time.Sleep(2 * time.Minute)
			h.must("DeleteStage", `{"arn":%q}`, h.stage)
		}, want: []string{"ana1, s1: 3, ended 2m3s"}},
		{name: "no bucket", window: 60, play: func(h *hall) {
			h.cable.set(func(b *bucket) { b.gone = true })
			h.stay("ana", 3*sec)
		}, told: "refuse ana s1 ResourceNotFoundException", states: "ana FAILED"},
		{name: "the bucket takes nothing", window: 60, play: func(h *hall) {
			h.cable.set(func(b *bucket) { b.denied = true })
			h.stay("ana", 3*sec)
			h.cable.set(func(b *bucket) { b.denied = false })
			h.stay("ana", 3*sec)
		}, want: []string{"ana2, s1: 3, ended 1m6s"}, told: "refuse ana s1 AccessDeniedException, start ana s1, end ana s1"},
		{name: "the bucket is deleted in the window", window: 60, play: func(h *hall) {
			h.stay("ana", 3*sec)
			time.Sleep(5 * sec)
			h.cable.set(func(b *bucket) { b.gone = true })
			time.Sleep(time.Minute)
		}, want: []string{"ana1, s1: 3, failed 1m3s"}, told: "start ana s1, fail ana s1 ResourceNotFoundException", states: "ana FAILED"},
		{name: "another configuration, before the first one's recording is told", window: 60, play: func(h *hall) {
			another := h.recording("shows", 60)
			h.cable.set(func(b *bucket) { b.away = true })
			h.stay("ana", 3*sec)
			time.Sleep(5 * sec)
			taken(h, h.update(another))
			h.stay("ana", 3*sec)
			h.cable.set(func(b *bucket) { b.away = false })
		}, want: []string{"ana1, s1: 3, ended 8s", "ana2, s1: 3, ended 1m11s"}, told: two},
		{name: "the bucket is away", window: 60, play: func(h *hall) {
			h.cable.set(func(b *bucket) { b.away = true })
			h.stay("ana", 3*sec)
			time.Sleep(time.Hour)
			h.cable.set(func(b *bucket) { b.away = false })
		}, want: []string{"ana1, s1: 3, ended 1m3s"}},
	} {
		tt.run(t)
	}
}

// What the server does meanwhile.
func TestStageMergeAcrossRestarts(t *testing.T) {
	const two = "start ana s1, end ana s1, start ana s1, end ana s1"
	for _, tt := range []stageMerge{
		{name: "killed on air, back", window: 60, play: func(h *hall) {
			h.publish("ana").send(3 * sec)
			h.kill()
			h.start()
			time.Sleep(sec)
			h.stay("ana", 3*sec)
		}, want: []string{"ana1 ana2, s1: 3|3, ended 1m7s"}},
		{name: "killed on air, nobody comes back", window: 60, play: func(h *hall) {
			h.publish("ana").send(3 * sec)
			h.kill()
			time.Sleep(time.Minute)
			h.start()
		}, want: []string{"ana1, s1: 3, ended 2m3s"}},
		{name: "killed on air, no window", window: 0, play: func(h *hall) {
			h.publish("ana").send(3 * sec)
			h.kill()
			h.start()
			time.Sleep(sec)
			h.stay("ana", 3*sec)
		}, want: []string{"ana1, s1: 3, ended 3s", "ana2, s1: 3, ended 7s"}, told: two},
		{name: "killed before anything was recorded", window: 60, play: func(h *hall) {
			h.publish("ana").send(0)
			h.kill()
			h.start()
		}, told: " "},
		{name: "killed in the window, back in another session", window: 300, play: func(h *hall) {
			h.stay("ana", 3*sec)
			time.Sleep(2 * time.Minute)
			h.kill()
			h.start()
			time.Sleep(2 * time.Minute)
			h.stay("ana", 3*sec)
		}, want: []string{"ana1 ana2, s1 s2: 3|3, ended 9m6s"}, told: "start ana s1, end ana s2", states: "ana STOPPED, ana STOPPED"},
		{name: "killed while several are recorded", window: 60, play: func(h *hall) {
			ana, bob := h.publish("ana"), h.publish("bob")
			ana.send(3 * sec)
			bob.send(3 * sec)
			h.kill()
			h.start()
			h.stay("bob", 3*sec)
		}, want: []string{"ana1, s1: 3, ended 1m6s", "bob1 bob2, s1: 3|3, ended 1m9s"},
			told: "start ana s1, end ana s1, start bob s1, end bob s1", states: "ana STOPPED, bob STOPPED"},
		{name: "stopped on air, back", window: 60, play: func(h *hall) {
			h.publish("ana").send(3 * sec)
			h.stop()
			h.start()
			h.stay("ana", 3*sec)
		}, want: []string{"ana1 ana2, s1: 3|3, ended 1m6s"}},
		{name: "stopped in the window, no one comes", window: 60, play: func(h *hall) {
			h.stay("ana", 3*sec)
			h.stop()
			time.Sleep(5 * time.Minute)
			h.start()
		}, want: []string{"ana1, s1: 3, ended 6m3s"}},
		{name: "stopped on air, no window", window: 0, play: func(h *hall) {
			h.publish("ana").send(3 * sec)
			h.stop()
			h.start()
			h.stay("ana", 3*sec)
		}, want: []string{"ana1, s1: 3, ended 3s", "ana2, s1: 3, ended 6s"}, told: two},
		{name: "the spool is lost", window: 60, play: func(h *hall) {
			h.publish("ana").send(3 * sec)
			h.kill()
			h.loseSpool()
			h.start()
		}, want: []string{"ana1, s1:, failed 3s"}, told: "start ana s1, fail ana s1 InternalServerException", states: "ana FAILED"},
	} {
		tt.run(t)
	}
}
