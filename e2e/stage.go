package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
)

// realtime is the SDK's client of the control API of stages.
func (s *server) realtime() *ivsrealtime.Client {
	s.t.Helper()
	return ivsrealtime.NewFromConfig(s.config(), func(o *ivsrealtime.Options) {
		o.BaseEndpoint = aws.String("http://" + s.at.HTTP)
		o.HTTPClient = whipClient // its connections are used again
	})
}

// room is a stage that a test has made.
type room struct {
	*types.Stage
	server *server
}

// newRoom makes a stage.
func (s *server) newRoom() *room {
	s.t.Helper()
	made, err := s.realtime().CreateStage(s.t.Context(), &ivsrealtime.CreateStageInput{Name: aws.String("e2e")})
	if err != nil {
		s.t.Fatal(err)
	}
	return &room{made.Stage, s}
}

// roomOf is a stage that somebody else has made.
func (s *server) roomOf(arn string) *room { return &room{&types.Stage{Arn: &arn}, s} }

// id is the last part of the stage's ARN.
func (r *room) id() string {
	_, id, _ := strings.Cut(*r.Arn, "/")
	return id
}

// whip is where participants publish.
func (r *room) whip() string { return "http://" + r.server.at.HTTP + "/whip" }

// session is the id of the session that runs, "" when none does.
func (r *room) session() string {
	r.server.t.Helper()
	got, err := r.server.realtime().GetStage(r.server.t.Context(), &ivsrealtime.GetStageInput{Arn: r.Arn})
	if err != nil {
		r.server.t.Fatal(err)
	}
	return aws.ToString(got.Stage.ActiveSessionId)
}

// guest is a participant of a stage, or the token of one who is not there yet.
type guest struct {
	room  *room
	t     testing.TB
	token string
	id    string
}

// guest makes a token that allows both, unless adjust says otherwise.
func (r *room) guest(adjust ...func(*ivsrealtime.CreateParticipantTokenInput)) *guest {
	t := r.server.t
	t.Helper()
	in := &ivsrealtime.CreateParticipantTokenInput{StageArn: r.Arn, UserId: aws.String("somebody"), Attributes: map[string]string{"role": "guest"}}
	for _, f := range adjust {
		f(in)
	}
	made, err := r.server.realtime().CreateParticipantToken(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return &guest{r, t, aws.ToString(made.ParticipantToken.Token), aws.ToString(made.ParticipantToken.ParticipantId)}
}

// guests are n participants.
func (r *room) guests(n int) (all []*guest) {
	r.server.t.Helper()
	for range n {
		all = append(all, r.guest())
	}
	return all
}

// may is for tokens that have these capabilities.
func may(capabilities ...types.ParticipantTokenCapability) func(*ivsrealtime.CreateParticipantTokenInput) {
	return func(in *ivsrealtime.CreateParticipantTokenInput) { in.Capabilities = capabilities }
}

// events are the names of what happened to the participant in a session,
// oldest first, an error code behind a colon.
func (g *guest) events(session string) (names []string) {
	g.t.Helper()
	in := &ivsrealtime.ListParticipantEventsInput{StageArn: g.room.Arn, SessionId: &session, ParticipantId: &g.id}
	got, err := g.room.server.realtime().ListParticipantEvents(g.t.Context(), in)
	if err != nil {
		g.t.Fatal(err)
	}
	slices.Reverse(got.Events)
	for _, e := range got.Events {
		name := string(e.Name)
		if e.ErrorCode != "" {
			name += ":" + string(e.ErrorCode)
		}
		names = append(names, name)
	}
	return names
}

// waitEvent waits until something has happened to the participant.
func (g *guest) waitEvent(session, name string) {
	g.t.Helper()
	eventually(g.t, 10*time.Second, "the participant has the event "+name, func() error {
		if names := g.events(session); !slices.Contains(names, name) {
			return fmt.Errorf("there are %v", names)
		}
		return nil
	})
}

// waitLeft waits until nothing has happened to the participant since it left,
// and returns what has before.
func (g *guest) waitLeft(session string) (names []string) {
	g.t.Helper()
	eventually(g.t, 15*time.Second, "the participant has left", func() error {
		if names = g.events(session); len(names) == 0 || names[len(names)-1] != "LEFT" {
			return fmt.Errorf("events are %v", names)
		}
		return nil
	})
	return names
}

// participant is what the API tells of the participant.
func (g *guest) participant(session string) *types.Participant {
	g.t.Helper()
	got, err := g.room.server.realtime().GetParticipant(g.t.Context(),
		&ivsrealtime.GetParticipantInput{StageArn: g.room.Arn, SessionId: &session, ParticipantId: &g.id})
	if err != nil {
		g.t.Fatal(err)
	}
	return got.Participant
}

// disconnect ends the participant through the API.
func (g *guest) disconnect() {
	g.t.Helper()
	_, err := g.room.server.realtime().DisconnectParticipant(g.t.Context(),
		&ivsrealtime.DisconnectParticipantInput{StageArn: g.room.Arn, ParticipantId: &g.id, Reason: aws.String("test")})
	if err != nil {
		g.t.Fatal(err)
	}
}

// whipAnswer is an answer of one of the stages' URLs.
type whipAnswer struct {
	status   int
	header   http.Header
	body     string
	location string // absolute
}

func (a *whipAnswer) String() string { return fmt.Sprintf("%d %q", a.status, a.body) }

// whipClient gives up where a server does not answer.
var whipClient = &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// call sends a request of WHIP (RFC 9725), with a token unless that is "".
func call(t testing.TB, method, address, token, contentType, body string, header ...string) (*whipAnswer, error) {
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := whipClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	a := &whipAnswer{status: resp.StatusCode, header: resp.Header, body: string(text)}
	if at := resp.Header.Get("Location"); at != "" {
		to, err := req.URL.Parse(at)
		if err != nil {
			return nil, fmt.Errorf("location: %w", err)
		}
		a.location = to.String()
	}
	return a, nil
}

const sdpType, fragmentType = "application/sdp", "application/trickle-ice-sdpfrag"

// offer posts an SDP offer, which must be answered with a session.
func (g *guest) offer(address, sdp string) (*whipAnswer, error) {
	a, err := call(g.t, http.MethodPost, address, g.token, sdpType, sdp)
	if err != nil {
		return nil, err
	}
	switch {
	case a.status != http.StatusCreated:
		return a, fmt.Errorf("the offer is answered %v", a)
	case a.header.Get("Content-Type") != sdpType || a.location == "":
		return a, fmt.Errorf("the answer has Content-Type %q and Location %q", a.header.Get("Content-Type"), a.location)
	}
	if at, err := url.Parse(a.location); err != nil || !strings.HasPrefix(at.Path, "/whip/session/") {
		return a, errors.Join(err, fmt.Errorf("location %q", a.location))
	}
	return a, nil
}

func (g *guest) publishURL() string              { return g.room.whip() }
func (g *guest) subscribeURL(from *guest) string { return g.room.whip() + "/subscribe/" + from.id }

// in is the server in a test that is not the one which started it.
func (s *server) in(t testing.TB) *server {
	return &server{t: t, dir: s.dir, at: s.at, cmd: s.cmd, storage: s.storage, bucket: s.bucket}
}
