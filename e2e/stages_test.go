package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
)

// What stages do for clients of any kind, on one server.
func TestStages(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ended := leaveStage(s)
	t.Run("together", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *server){
			"decodes":        stageDecodes,
			"endpoints":      stageEndpoints,
			"kinds":          stageKinds,
			"repairs":        stageRepairs,
			"publishes anew": stagePublisherReturns,
			"newest wins":    stageNewestWins,
			"disconnected":   stageDisconnected,
			"deleted":        stageDeleted,
			"expired":        stageTokenExpires,
			"simulcast":      stageSimulcast,
			"trickle":        stageTrickle,
			"TCP":            stageTCP,
			"limits":         stageLimits,
			"clients":        stageClients,
			"OBS":            stageOBS,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s.in(t))
			})
		}
	})
	ended()
}

// leaveStage joins a stage, leaves it and comes back, and leaves again. ended
// checks that its session has ended when nobody had been there for 60 s.
func leaveStage(s *server) (ended func()) {
	s.t.Helper()
	r := s.newRoom()
	ana := r.guest()
	listener := ana.listen()
	listener.waitState(5*time.Second, ana.id)
	session := r.session()
	listener.close()
	ana.waitLeft(session)
	again := ana.listen()
	again.waitState(5*time.Second, ana.id)
	if got := r.session(); got != session {
		s.t.Errorf("session %q follows %q", got, session)
	}
	again.close()
	left := time.Now()
	return func() {
		s.t.Helper()
		eventually(s.t, 90*time.Second, "the session ends", func() error {
			if got := r.session(); got != "" {
				return fmt.Errorf("session %s is active", got)
			}
			return nil
		})
		got, err := s.realtime().GetStageSession(s.t.Context(), &ivsrealtime.GetStageSessionInput{StageArn: r.Arn, SessionId: &session})
		if err != nil {
			s.t.Fatal(err)
		}
		if end := aws.ToTime(got.StageSession.EndTime); end.Sub(left) < 60*time.Second || end.Sub(left) > 75*time.Second {
			s.t.Errorf("nobody is there from %v on, the session ends at %v", left, end)
		}
		wantEvents(s.t, ana.events(session), "JOINED", "LEFT", "JOINED", "LEFT")
	}
}
