package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

// lobby is a browser with pages of stages.
type lobby struct {
	*chromium
	pages int
}

// seat is one of its pages.
type seat struct {
	*lobby
	number int
	guest  *guest
}

// onStage is what a page shows.
type onStage struct {
	Marked     bool // the page was not loaded again
	Address    string
	Door       bool // it wants a token
	Problem    string
	State      string
	Publishing string
	Others     string // who watches
	Join       string // what the button says
	Wide       bool   // it is wider than the window
	Tiles      []tile
	Problems   []string // of the script
	Sent       []string // origins to which the token went
	Calls      []string // of WHIP: method, of what, status
}

// tile is a participant on a page.
type tile struct {
	ID            string
	Known         bool // it was there when the page was looked at before
	Frames        int  // shown
	Energy        float64
	Name          string
	Muted         bool
	Curtain       string
	Stats         string
	Picture       string
	Width, Height int
	Time          float64
	Paused        bool
}

func startLobby(t testing.TB) *lobby {
	t.Helper()
	return &lobby{chromium: startBrowser(t, "stage.mjs")}
}

// command has the browser do something; answer is what it says.
func (b *lobby) command(answer any, line map[string]any) {
	b.t.Helper()
	text, err := json.Marshal(line)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(b.stdin, "%s\n", text); err != nil {
		b.t.Fatal(err)
	}
	if !b.lines.Scan() {
		b.t.Fatalf("the browser does not answer to %s: %v", line["do"], b.lines.Err())
	}
	if err := json.Unmarshal(b.lines.Bytes(), answer); err != nil {
		b.t.Fatal(err)
	}
}

// enter opens the page of a guest's stage, with the guest's token.
func (b *lobby) enter(g *guest) (*seat, onStage) {
	b.t.Helper()
	return b.open(g, g.token)
}

func (b *lobby) open(g *guest, token string) (s *seat, now onStage) {
	b.t.Helper()
	b.command(&now, map[string]any{"do": "open", "url": fmt.Sprintf("http://%s/stage/%s?token=%s", g.room.server.at.HTTP, g.room.id(), token)})
	b.pages++
	return &seat{b, b.pages - 1, g}, now
}

func (s *seat) do(command string, values ...any) (now onStage) {
	s.t.Helper()
	line := map[string]any{"do": command, "page": s.number}
	for i := 0; i < len(values); i += 2 {
		line[values[i].(string)] = values[i+1]
	}
	s.command(&now, line)
	return now
}

func (s *seat) click(selectors ...string) {
	s.t.Helper()
	for _, selector := range selectors {
		s.do("click", "selector", selector)
	}
}

// until waits until the page shows what is wanted.
func (s *seat) until(what string, shows func(onStage) bool) (now onStage) {
	s.t.Helper()
	eventually(s.t, time.Minute, what, func() error {
		if now = s.do("look"); !shows(now) {
			return fmt.Errorf("the page shows %+v", now)
		}
		return nil
	})
	return now
}

// join turns devices on and joins.
func (s *seat) join(devices ...string) {
	s.t.Helper()
	for _, device := range devices {
		s.click("#" + device)
		s.until(device+" is on", func(now onStage) bool { return now.Join == "Join" })
	}
	s.click("#join")
	s.until("it has joined", func(now onStage) bool {
		return now.State == "connected" && (len(devices) == 0 || now.Publishing == "published")
	})
}

// picture saves screenshots for a desk and for a phone.
func (s *seat) picture(name string) {
	s.t.Helper()
	for device, size := range map[string][2]int{"desk": {1280, 800}, "phone": {390, 844}} {
		now := s.do("picture", "file", filepath.Join(s.files, fmt.Sprintf("%s-%s-%s.png", s.t.Name(), name, device)), "width", size[0], "height", size[1])
		if now.Wide {
			s.t.Errorf("%s is too wide for a %s", name, device)
		}
	}
}

// of is the tile of a participant, the zero tile when there is none.
func (now onStage) of(g *guest) tile {
	i := slices.IndexFunc(now.Tiles, func(t tile) bool { return t.ID == g.id })
	if i < 0 {
		return tile{}
	}
	return now.Tiles[i]
}

// plays waits until a page plays a participant: its picture goes on, and its
// sound is heard, where it has such.
func (s *seat) plays(g *guest, sound bool) tile {
	s.t.Helper()
	before := s.do("look").of(g)
	return s.until("the page plays "+g.id, func(now onStage) bool {
		t := now.of(g)
		heard := !sound || t.Energy > before.Energy+0.01 && !t.Muted
		return t.Curtain == "" && t.Frames >= before.Frames+3 && t.Time > before.Time && t.Width > 0 && heard && strings.Contains(t.Stats, "% lost")
	}).of(g)
}

// called gives a token a user id.
func called(name string) func(*ivsrealtime.CreateParticipantTokenInput) {
	return func(in *ivsrealtime.CreateParticipantTokenInput) { in.UserId = aws.String(name) }
}

// Three people meet on the page: they see and hear each other, one shows its
// screen, they mute, leave, return and load the page again.
func TestStagePage(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := s.newRoom()
	b := startLobby(t)
	ana, bob, cy := r.guest(called("ana")), r.guest(called("bob")), r.guest(called("cy"))

	a, now := b.enter(ana)
	if strings.Contains(now.Address, "token") || now.Door || now.Join != "Join to watch" {
		t.Fatalf("the page of a guest shows %+v", now)
	}
	a.join("microphone", "camera")
	a.until("she is alone", func(now onStage) bool { return now.Others == "Nobody else is here yet." })
	c, _ := b.enter(bob)
	c.join("microphone", "camera")
	for _, one := range []struct {
		seat *seat
		sees *guest
		name string
	}{{a, bob, "bob"}, {c, ana, "ana"}} {
		if seen := one.seat.plays(one.sees, true); seen.Name != one.name {
			t.Errorf("the tile of %s is of %q", one.name, seen.Name)
		}
	}
	t.Logf("at the start: %s", a.do("look").of(bob).Stats)

	d, _ := b.enter(cy)
	d.join("screen")
	for _, seat := range []*seat{a, c} {
		seat.plays(cy, false)
		seat.until("a screen has no sound", func(now onStage) bool { return now.of(cy).Muted })
	}
	d.plays(ana, true)
	d.plays(bob, true)
	a.picture("three")
	t.Logf("with three: %s", a.do("look").of(bob).Stats)

	a.click("#microphone", "#camera")
	c.until("ana is muted, her camera off", func(now onStage) bool { return now.of(ana).Muted && now.of(ana).Curtain == "camera off" })
	c.picture("off")
	a.click("#microphone", "#camera")
	c.plays(ana, true)

	d.click("#leave")
	a.until("cy is gone", func(now onStage) bool { return now.of(cy).ID == "" })
	d.join()
	a.until("cy watches", func(now onStage) bool { return now.Others == "Watching: cy" })
	d.plays(ana, true)

	// What is loaded again comes back by itself, and others see it in the same tile.
	before := c.plays(ana, true)
	a.do("load")
	now = c.until("ana is back", func(now onStage) bool {
		return now.of(ana).ID == "" || now.of(ana).Time > before.Time+1 && now.of(ana).Curtain == ""
	})
	if !now.of(ana).Known {
		t.Errorf("bob sees ana in another tile: %+v", now)
	}
	c.plays(ana, true)
	a.plays(bob, true)

	// Where ICE fails it is restarted, in the same sessions: its own, and that of the one who publishes.
	calls := len(c.do("look").Calls)
	c.do("restart")
	c.until("ICE was restarted", func(now onStage) bool {
		return slices.Equal(now.Calls[calls:min(calls+2, len(now.Calls))], []string{"PATCH session 200", "PATCH session 200"})
	})
	c.plays(ana, true)
	a.plays(bob, true)
	for _, call := range c.do("look").Calls[calls+2:] { // more candidates
		if call != "PATCH session 204" {
			t.Errorf("after an ICE restart there was the call %s", call)
		}
	}

	for _, seat := range []*seat{a, c, d} {
		now := seat.do("look")
		if len(now.Problems) > 0 || now.Problem != "" {
			t.Errorf("page %d has problems: %q %q", seat.number, now.Problem, now.Problems)
		}
		if want := []string{"http://" + s.at.HTTP}; !slices.Equal(now.Sent, want) {
			t.Errorf("the token went to %q", now.Sent)
		}
	}

	if strings.Contains(string(s.logTail(4<<20)), ana.token) {
		t.Error("a token is in the log")
	}

	// A server that is back is a short interruption.
	s.kill()
	c.until("the server is away", func(now onStage) bool { return now.State == "reconnecting" })
	s.start()
	c.plays(ana, true)
	a.plays(bob, true)
	d.plays(ana, true)
}

// Pages of other origins use the client library with what the token says.
func TestStageFromElsewhere(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := s.newRoom()
	b := startLobby(t)
	var now onStage
	_, port, _ := strings.Cut(s.at.HTTP, ":")
	for range 2 {
		b.command(&now, map[string]any{"do": "open", "url": "http://localhost:" + port + "/clock"})
	}
	b.command(&now, map[string]any{"do": "clock", "page": 0, "token": r.guest().token})
	var seen struct{ Delays []struct{ Seconds float64 } }
	b.command(&seen, map[string]any{"do": "read", "page": 1, "token": r.guest().token, "seconds": 5})
	if len(seen.Delays) == 0 {
		t.Error("no picture was seen")
	}
	for page := range 2 {
		b.command(&now, map[string]any{"do": "look", "page": page})
		if len(now.Problems) > 0 || !slices.Contains(now.Sent, "http://"+s.at.HTTP) {
			t.Errorf("page %d: %+v", page, now)
		}
	}
}

// Who may not join is told why, and so is who is removed.
func TestStagePageRefuses(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := s.newRoom()
	b := startLobby(t)
	ana := r.guest(called("ana"))

	t.Log("no token at all")
	nobody, now := b.open(ana, "nonsense")
	if !now.Door || now.Problem != "This is not a participant token." {
		t.Errorf("with nonsense for a token: %+v", now)
	}
	nobody.picture("door")
	header, rest, _ := strings.Cut(ana.token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	forged, _ := b.open(ana, header+"."+payload+".AAAA")
	forged.click("#join")
	now = forged.until("a forged token is refused", func(now onStage) bool { return now.Problem != "" })
	if !now.Door || !strings.HasPrefix(now.Problem, "The server refuses this token: ") {
		t.Errorf("with a forged token: %+v", now)
	}
	forged.picture("refused")

	if _, now := b.open(ana, s.newRoom().guest().token); !now.Door || now.Problem != "This token is for another stage." {
		t.Errorf("with a token of another stage: %+v", now)
	}

	t.Log("a token to watch alone")
	viewer := r.guest(called("vi"), may(types.ParticipantTokenCapabilitySubscribe))
	v, _ := b.enter(viewer)
	v.join()
	if now := v.do("look"); len(now.Tiles) > 0 || now.Join != "" {
		t.Errorf("who may only watch sees %+v", now)
	}

	t.Log("the same token twice")
	first, _ := b.enter(ana)
	first.join("camera")
	v.plays(ana, false)
	second, _ := b.enter(ana)
	second.join("camera")
	first.until("the first has left", func(now onStage) bool {
		return now.State == "disconnected" && strings.Contains(now.Problem, "joined elsewhere")
	})
	v.plays(ana, false)

	t.Log("removed through the API")
	ana.disconnect()
	second.until("ana is told", func(now onStage) bool {
		return now.State == "disconnected" && strings.Contains(now.Problem, "removed from the stage")
	})
	second.click("#join")
	now = second.until("she is not let in again", func(now onStage) bool { return strings.Contains(now.Problem, "refuses") })
	second.picture("removed")
	v.until("ana is gone", func(now onStage) bool { return len(now.Tiles) == 0 })
	if len(now.Problems) > 0 {
		t.Errorf("problems: %q", now.Problems)
	}
}
