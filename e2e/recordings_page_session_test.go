package e2e

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
)

// shelfTile is a recording among those of a session, as the page shows it.
type shelfTile struct {
	Name, Curtain string
	Time          float64 // of the video in seconds
	Paused        bool
}

// shelfLane is its lane: places on the time bar, from 0 to 1.
type shelfLane struct {
	Name  string
	Shown bool // it has a tile
	There [][2]float64
	Joins []float64
}

// shelfShot is a picture that was on the screen. Times are in milliseconds.
type shelfShot struct {
	Name string // of the tile
	Code int    // what the picture tells, -1 if nothing
	At   float64
	Told float64 // its date, by the recording
}

// sessionNames are who is in the session: the number of a name is the piece in
// pictures.
var sessionNames = []string{"ana", "bob", "carol"}

// calling has a token for a user.
func calling(user string) func(*ivsrealtime.CreateParticipantTokenInput) {
	return func(in *ivsrealtime.CreateParticipantTokenInput) { in.UserId = &user }
}

// The recordings of a session play side by side, as it was: who came later comes
// later, who left leaves, who came back comes back, and all are in step.
func TestRecordingsPageSession(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--public-recordings")
	r := s.newRecordedRoom(settings{
		"recordingReconnectWindowSeconds": 60,
		"thumbnailConfiguration":          settings{"recordingMode": "INTERVAL", "targetIntervalSeconds": 2},
	})
	names := sessionNames
	var guests []*guest
	sent := map[string][]*outgoing{}
	publish := func(i int) *outgoing {
		out := guests[i].publish(scene{width: 320, height: 180, bitrate: 260_000, beats: true, piece: i})
		sent[names[i]] = append(sent[names[i]], out)
		return out
	}
	for _, name := range names {
		guests = append(guests, r.guest(calling(name)))
	}
	ana := publish(0)
	ana.waitSent(3 * time.Second)
	bob := publish(1)
	bob.waitSent(4 * time.Second)
	session := r.session()
	bob.hangUp()
	bob.stop()
	publish(2).waitSent(4 * time.Second)

	// While it goes on.
	page := shelf{startBrowser(t, "recordings.mjs")}
	site := "http://" + s.at.HTTP + "/recordings"
	page.do("open", "url", site+"?stage="+r.id())
	page.until(10*time.Second, "three recordings are listed", func(now shelved) bool {
		return len(now.Rows) == 3 && strings.Contains(strings.Join(now.Rows[0], " "), guests[2].id)
	})
	page.do("click", "selector", "#list .sessions a")
	growing := page.until(30*time.Second, "the session plays", func(now shelved) bool { return len(now.Tiles) == 3 && now.Position > 0.5 })
	if growing.Ended || growing.State != "recording now" || growing.Paused {
		t.Errorf("while the session goes on the page shows %+v", growing)
	}
	publish(1).waitSent(8 * time.Second) // bob is back
	page.until(30*time.Second, "bob's return is on the line", func(now shelved) bool {
		return now.Duration > growing.Duration && len(now.Lanes) == 3 && len(now.Lanes[1].Joins) == 1
	})
	page.picture("being-made")
	for _, all := range sent {
		out := all[len(all)-1]
		out.hangUp()
		out.stop()
	}
	// Nobody is waited for any more.
	if _, err := s.realtime().DeleteStage(t.Context(), &ivsrealtime.DeleteStageInput{Arn: r.Arn}); err != nil {
		t.Fatal(err)
	}
	for _, g := range guests {
		g.waitTakes(1)[0].check(t)
	}
	now := page.until(40*time.Second, "the page shows the end", func(now shelved) bool { return now.Ended && now.State == "complete" })
	checkLanes(t, now, names, sent)
	for _, command := range []func() shelved{
		func() shelved { return page.do("key", "selector", "#bar", "text", "Home") },
		func() shelved { return page.do("click", "selector", "#play") },
	} {
		if now = command(); now.Position > 1 && !now.Paused {
			t.Errorf("the page shows %+v", now)
		}
	}
	if curtain := page.do("look").Tiles[1].Curtain; !strings.HasPrefix(curtain, "comes at ") {
		t.Errorf("before he came, bob's tile says %q", curtain)
	}

	// Across the instants at which somebody comes, leaves and comes back.
	if now.Paused {
		page.do("click", "selector", "#play")
	}
	edges := []float64{now.Lanes[1].There[0][0], now.Lanes[1].There[0][1], now.Lanes[1].Joins[0]}
	for i, edge := range edges {
		page.do("seek", "at", edge-1/now.Duration)
		page.until(10*time.Second, "it plays", func(now shelved) bool {
			return !now.Paused && slices.ContainsFunc(now.Tiles, func(t shelfTile) bool { return !t.Paused })
		})
		then := page.do("shots", "seconds", 5.0)
		checkInStep(t, then, sent, i == 2)
		if i == 1 && !strings.HasPrefix(page.do("look").Tiles[1].Curtain, "away, back at ") {
			t.Errorf("while he is away, bob's tile says %q", then.Tiles[1].Curtain)
		}
	}
	page.do("click", "selector", "#play")
	page.picture("together")

	// A deep link to one that is no session, and to the session.
	page.do("open", "url", site+"#"+r.id()+"/st-nothing")
	page.until(10*time.Second, "nothing plays", func(now shelved) bool { return now.Missing && len(now.Tiles) == 0 && len(now.Rows) == 3 })
	page.picture("list")
	page.do("open", "url", site+"#"+r.id()+"/"+session)
	now = page.until(20*time.Second, "the session plays", func(now shelved) bool { return len(now.Tiles) == 3 && now.Position > 0.5 })
	for _, tt := range []struct {
		kind string
		rows int
	}{{"channel", 0}, {"participant", 3}, {"", 3}} {
		page.do("select", "selector", "#kind", "text", tt.kind)
		page.until(5*time.Second, fmt.Sprintf("recordings of the kind %q are listed", tt.kind), func(now shelved) bool {
			return len(now.Rows) == tt.rows && !strings.HasPrefix(now.Status, "Looking")
		})
	}
	page.do("fill", "selector", "#of", "text", r.id())
	page.do("key", "selector", "#of", "text", "Enter")
	page.until(5*time.Second, "those of the stage are listed", func(now shelved) bool { return len(now.Rows) == 3 && strings.Contains(now.Address, "stage="+r.id()) })
	// Who is not wanted goes, and comes back.
	for _, shown := range []int{2, 3} {
		if now = page.do("click", "selector", "#lanes li:nth-child(3) button"); len(now.Tiles) != shown || now.Lanes[2].Shown != (shown == 3) {
			t.Errorf("with %d tiles the page shows %+v", shown, now)
		}
	}
	if len(now.Errors)+len(now.Problems) > 0 {
		t.Errorf("errors of the player: %v; of the page: %v", now.Errors, now.Problems)
	}
}

// checkLanes checks that the line has everybody where they were.
func checkLanes(t *testing.T, now shelved, names []string, sent map[string][]*outgoing) {
	t.Helper()
	var begin time.Time
	for i, name := range names {
		lane := now.Lanes[i]
		if lane.Name != name || len(lane.There) != len(sent[name]) || len(lane.Joins) != len(sent[name])-1 {
			t.Fatalf("%s is shown as %+v", name, lane)
		}
		for k, out := range sent[name] {
			all := out.shots()
			if begin.IsZero() {
				begin = all[0]
			}
			// What was sent before a first key frame, or torn off at the end, is not there.
			for end, at := range []time.Time{all[0], all[len(all)-1]} {
				if told := lane.There[k][end] * now.Duration; math.Abs(told-at.Sub(begin).Seconds()) > 1.5 {
					t.Errorf("part %d of %s has an end at %v, and one on the line at %.2f s", k, name, at.Sub(begin), told)
				}
			}
		}
	}
	if len(now.Marks) != 1 || math.Abs(now.Marks[0]-now.Lanes[1].Joins[0]) > 0.01 {
		t.Errorf("the bar has marks at %v, the lane at %v", now.Marks, now.Lanes[1].Joins)
	}
}

// checkInStep checks that tiles which play side by side show what was sent at
// once: by the clocks of their videos, and by what their pictures tell. all says
// that all three were seen.
func checkInStep(t *testing.T, now shelved, sent map[string][]*outgoing, all bool) {
	t.Helper()
	var apart series // for each reading, in ms
	for i, dates := range now.Clocks {
		before := len(now.Clocks[max(0, i-10)]) // who has just begun catches up within half a second
		if times := slices.Sorted(maps.Values(dates)); len(times) > 1 && i >= 10 && before == len(times) {
			apart.add(times[len(times)-1] - times[0])
		}
	}
	offs := map[string]series{} // of each picture: when it was on the screen less when it was sent, in ms
	var unread int
	for _, shot := range now.Shots {
		if shot.Code < 0 {
			unread++
			continue
		}
		at, ok := sentAt(sent[shot.Name], shot)
		if !ok || slices.Index(sessionNames, shot.Name) != shot.Code/shotNumbers {
			t.Errorf("%s shows the picture %d at %v, which was not sent about then", shot.Name, shot.Code, time.UnixMilli(int64(shot.Told)).UTC())
			continue
		}
		offs[shot.Name] = append(offs[shot.Name], shot.At-at)
	}
	if unread > len(now.Shots)/10 || len(apart) < 10 || all && len(offs) < 3 {
		t.Fatalf("of %d pictures %d were not read; %d tiles; %d readings", len(now.Shots), unread, len(offs), len(apart))
	}
	var medians series
	for name, off := range offs {
		medians.add(off.at(0.5))
		t.Logf("%s: %d pictures, %.0f ms later than the first tile's", name, len(off), off.at(0.5)-offs["ana"].at(0.5))
	}
	t.Logf("videos are %.0f ms apart, %.0f ms at most; pictures %.0f ms", apart.at(0.5), apart.at(1), medians.at(1)-medians.at(0))
	if apart.at(0.5) > float64(skew.Milliseconds()) {
		t.Errorf("videos are %.0f ms apart", apart.at(0.5))
	}
	// A picture of 30 a second stays for 33 ms, and the browser draws the screen
	// somewhere in them: on a busy machine, not for each.
	if limit := float64(skew.Milliseconds()) + 2*1000./tapeRate; medians.at(1)-medians.at(0) > limit {
		t.Errorf("what was sent at once is shown %.0f ms apart", medians.at(1)-medians.at(0))
	}
}

// sentAt is when the picture was sent, in milliseconds since 1970: that one of its
// number which was sent about when the recording tells.
func sentAt(outs []*outgoing, shot shelfShot) (float64, bool) {
	for _, out := range outs {
		for n, at := range out.shots() {
			ms := float64(at.UnixMicro()) / 1000
			if n%int(tapeLasts.Seconds()*tapeRate) == shot.Code%shotNumbers && math.Abs(ms-shot.Told) < 4000 {
				return ms, true
			}
		}
	}
	return 0, false
}
