package store

import (
	"testing"
	"time"

	"anabranch/internal/resource"
)

// Of what happens to a participant the newest is kept, so that a client that
// comes and goes all day fills no disk.
func TestParticipantEventsAreBounded(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	st := f.stage("")
	session := f.join(st, "b")
	f.join(st, "a")
	many := func(n int, code string) (events []resource.ParticipantEvent) {
		for range n {
			events = append(events, resource.ParticipantEvent{Name: resource.SubscribeError, RemoteParticipantID: code})
		}
		return events
	}
	f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "a", nil, many(maxParticipantEvents-1, "old")))
	if n := f.kept("a"); n != maxParticipantEvents {
		t.Errorf("%d events are kept, want all", n)
	}
	if got := f.oldest(session.ID, "a"); got != resource.Joined {
		t.Errorf("the oldest is %s", got)
	}
	f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "a", nil, many(1, "new")))
	if n, oldest := f.kept("a"), f.oldest(session.ID, "a"); n != maxParticipantEvents || oldest == resource.Joined {
		t.Errorf("%d events are kept, the oldest is %s", n, oldest)
	}
	events, _, err := f.ListParticipantEvents(ctx, st.ARN, session.ID, "a", resource.Page{Size: 1})
	if err != nil || events[0].RemoteParticipantID != "new" {
		t.Errorf("the newest is %+v, %v", events, err)
	}
	if n := f.kept("b"); n != 1 {
		t.Errorf("of another %d are kept", n)
	}
}

// Whether a participant publishes is known however much has happened since it
// began or stopped.
func TestPublishingIsKept(t *testing.T) {
	for _, newest := range []resource.ParticipantEventName{resource.PublishStarted, resource.PublishStopped} {
		f := open(t)
		ctx := t.Context()
		st := f.stage("")
		session := f.join(st, "a")
		happened := []resource.ParticipantEvent{{Name: resource.PublishStarted}, {Name: resource.PublishStopped}, {Name: newest}}
		for range maxParticipantEvents + 1 {
			happened = append(happened, resource.ParticipantEvent{Name: resource.SubscribeError})
		}
		f.must(f.UpdateParticipant(ctx, st.ARN, session.ID, "a", func(p *resource.Participant) { p.Published = true }, happened))
		if n, oldest := f.kept("a"), f.oldest(session.ID, "a"); n != maxParticipantEvents+1 || oldest != newest {
			t.Errorf("%d events are kept, the oldest is %s, want %s", n, oldest, newest)
		}
		f.must(f.EndStageSession(ctx, st.ARN, session.ID, noon.Add(time.Minute)))
		told := len(f.told()) > 0
		if publishes := newest == resource.PublishStarted; told != publishes {
			t.Errorf("publishes %t; that it stopped was told %t", publishes, told)
		}
	}
}

// kept is how many events of a participant there are.
func (f *fixture) kept(participant string) int {
	f.t.Helper()
	n, err := f.reader.NewSelect().Model((*participantEventRow)(nil)).Where("participant_id = ?", participant).Count(f.t.Context())
	f.must(err)
	return int(n)
}

// oldest names the oldest event of a participant that there is.
func (f *fixture) oldest(session, participant string) resource.ParticipantEventName {
	f.t.Helper()
	row := new(participantEventRow)
	f.must(f.reader.NewSelect().Model(row).Where("session_id = ?", session).Where("participant_id = ?", participant).
		Order("seq").Limit(1).Scan(f.t.Context()))
	return row.Name
}
