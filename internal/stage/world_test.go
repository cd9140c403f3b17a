package stage

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/auth"
	"anabranch/internal/resource"
)

var (
	place = resource.Place{Region: "us-east-1", Account: "123456789012"}
	hall  = place.ARN(resource.KindStage, "hall")
)

// world is a manager of rooms whose engine and ledger are fakes.
type world struct {
	*Manager
	t      *testing.T
	engine *engine
	ledger *ledger
	end    func()
}

// inWorld runs a test on virtual time.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, engine: &engine{}, ledger: &ledger{stages: map[resource.ARN]bool{hall: true}}}
		w.start(Config{})
		defer func() { w.end() }()
		test(t, w)
	})
}

// start starts a manager, as the server does; end stops it.
func (w *world) start(cfg Config) {
	cfg.Engine, cfg.Ledger, cfg.Log = w.engine, w.ledger, slog.New(slog.DiscardHandler)
	w.startWith(cfg)
}

func (w *world) startWith(cfg Config) {
	cfg.Tokens = auth.NewParticipantTokens([]byte("secret"), func() (string, string) { return "ws://host/events", "http://host/whip" })
	m, err := NewManager(w.t.Context(), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Manager = m
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.Run(ctx); err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	synctest.Wait()
	w.end = func() {
		cancel()
		running.Wait()
	}
}

// token is a participant's token, which allows everything unless alter says else.
func (w *world) token(id string, alter ...func(*auth.ParticipantClaims)) string {
	w.t.Helper()
	now := time.Now()
	c := auth.ParticipantClaims{
		ID: id, Stage: hall, UserID: "user of " + id, Publish: true, Subscribe: true, IssuedAt: now, ExpiresAt: now.Add(12 * time.Hour),
	}
	for _, f := range alter {
		f(&c)
	}
	token, err := w.Tokens.Mint(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// publish lets a participant publish; media does not flow yet.
func (w *world) publish(token string) *session {
	w.t.Helper()
	if _, err := w.Publish(w.t.Context(), token, Client{}, nil); err != nil {
		w.t.Fatalf("publish: %v", err)
	}
	return w.engine.newest()
}

// onAir lets a participant publish media.
func (w *world) onAir(token string) *session {
	w.t.Helper()
	s := w.publish(token)
	close(s.flowing)
	synctest.Wait()
	return s
}

func (w *world) subscribe(token, to string) *session {
	w.t.Helper()
	if _, err := w.Subscribe(w.t.Context(), token, to, Client{}, nil); err != nil {
		w.t.Fatalf("subscribe: %v", err)
	}
	s := w.engine.newest()
	close(s.connected)
	synctest.Wait()
	return s
}

func (w *world) listen(token string) *Listener {
	w.t.Helper()
	l, err := w.Listen(w.t.Context(), token, "hall", Client{})
	if err != nil {
		w.t.Fatalf("listen: %v", err)
	}
	return l
}

// refused holds an error against the status and code of a refusal.
func refused(t *testing.T, err error, status int, code resource.ParticipantErrorCode) {
	t.Helper()
	var r *Error
	if !errors.As(err, &r) || r.Status != status || r.Code != string(code) {
		t.Errorf("got %v (%+v), want %d %s", err, r, status, code)
	}
}

// told compares what the ledger was told since the last call, in short.
func (w *world) told(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	if got := w.ledger.log; !slices.Equal(got, want) {
		w.t.Errorf("stored:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	w.ledger.log = nil
}

// sees reads what a listener is told next, as "ana bob*": a star publishes.
func sees(t *testing.T, l *Listener) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	raw, err := l.Next(ctx)
	if err != nil {
		return err.Error()
	}
	var s Snapshot
	if err := json.Unmarshal(raw, &s); err != nil || s.StageID != "hall" {
		t.Errorf("snapshot %s: %v", raw, err)
	}
	var names []string
	for _, p := range s.Participants {
		if p.IsPublishing {
			p.ID += "*"
		}
		names = append(names, p.ID)
	}
	return strings.Join(names, " ")
}

// participants are the ids of those in a room, as the API would list them.
func (w *world) participants(stage resource.ARN) string {
	synctest.Wait()
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	var in []string
	for _, p := range w.ledger.participants {
		if p.Stage == stage && p.State == resource.Connected {
			in = append(in, p.ID)
		}
	}
	slices.Sort(in)
	return strings.Join(in, " ")
}
