package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// A bucket that is away, in several ways, while participants publish and the
// server is killed: subscribers notice nothing of the bucket, and the recording
// is whole when it is back.
func TestStageRecordingStorageAway(t *testing.T) {
	t.Parallel()
	proxy := startS3Proxy(t, otherStorage(t))
	s := startServerOn(t, proxy.storage)
	r := s.newRecordedRoom(settings{"recordingReconnectWindowSeconds": 30})
	ana, ben := r.guest(), r.guest()
	first := ana.publish(beats)
	in := ben.subscribe(ana)
	ana.waitStored(1)
	for _, f := range []fault{answerWith(http.StatusServiceUnavailable, "SlowDown"), answerWith(http.StatusForbidden, "AccessDenied"), cutOff, falsify} {
		proxy.set(f)
		proxy.waitHit(1)
	}
	proxy.refuse()
	in.waitGot("video", 100)
	first.stop()
	for _, kind := range []string{"video", "audio"} {
		if d := in.waitWhole(kind, first); d.late > 0 || d.repaired > 0 {
			t.Errorf("with its bucket away the stage has %s: %v", kind, d)
		}
	}
	s.kill()
	first.close()
	s.start()
	second := ana.publish(beats)
	second.waitSent(4 * time.Second)
	proxy.heal()
	one := second.leave(6*time.Second, 1)[0]
	pieces := one.stretches(t, one.check(t))
	if len(pieces) != 2 {
		t.Fatalf("it is in %d pieces", len(pieces))
	}
	pieces[1].of(t, second)
	if now := pieces[0].rhythm(); now.missing > 0 || pieces[0].endsBefore(first) > time.Second {
		t.Errorf("the first piece ends %v early: %v", pieces[0].endsBefore(first), now)
	}
	s.stop()
	checkTakesTold(t, s)
}

// A bucket that refuses, or that is gone, fails the recording and tells why. The
// stage goes on, and who publishes when the bucket is there again is recorded.
func TestStageRecordingRefused(t *testing.T) {
	for _, tt := range []struct {
		name, code string
		refuses    func(*s3Proxy, *server)
		relents    func(*s3Proxy, *server)
	}{
		{"denied", "AccessDeniedException",
			func(p *s3Proxy, _ *server) { p.set(answerWith(http.StatusForbidden, "AccessDenied")) },
			func(p *s3Proxy, _ *server) { p.heal() }},
		{"gone", "ResourceNotFoundException",
			func(_ *s3Proxy, s *server) {
				s.emptyBucket()
				if _, err := s.s3().DeleteBucket(s.t.Context(), &s3.DeleteBucketInput{Bucket: &s.bucket}); err != nil {
					s.t.Fatal(err)
				}
			},
			func(_ *s3Proxy, s *server) {
				if _, err := s.s3().CreateBucket(s.t.Context(), &s3.CreateBucketInput{Bucket: &s.bucket}); err != nil {
					s.t.Fatal(err)
				}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxy := startS3Proxy(t, otherStorage(t))
			s := startServerOn(t, proxy.storage)
			s.bucket = "refuses-" + strconv.FormatInt(time.Now().UnixNano(), 36)
			r := s.newRecordedRoom(nil)
			tt.refuses(proxy, s)
			ana, ben := r.guest(), r.guest()
			out := ana.publish(beats)
			in := ben.subscribe(ana)
			session := r.session()
			ana.waitRecordingState(session, types.ParticipantRecordingStateFailed)
			if got := r.recorded(session, "FAILED"); got != 1 {
				t.Errorf("%d participants are recorded in the state FAILED", got)
			}
			in.waitGot("video", 60)
			tt.relents(proxy, s)
			out.stop()
			for _, kind := range []string{"video", "audio"} {
				if d := in.waitWhole(kind, out); d.late > 0 || d.repaired > 0 {
					t.Errorf("a stage whose bucket refuses has %s: %v", kind, d)
				}
			}
			out.hangUp()
			again := ben.publish(beats)
			again.leave(4*time.Second, 1)[0].whole(t, again)

			s.stop()
			var failures []event
			for _, e := range s.stored(*r.Arn) {
				if name, _ := e.detail["event_name"].(string); strings.HasSuffix(name, "Failure") {
					failures = append(failures, e)
				}
			}
			if len(failures) != 1 || failures[0].detail["event_name"] != "Recording Start Failure" {
				t.Fatalf("told of failures: %v", failures)
			}
			d := failures[0].detail
			reason, _ := d["reason"].(string)
			_, lasts := d["recording_duration_ms"]
			if d["error_code"] != tt.code || d["participant_id"] != ana.id || d["session_id"] != session || !strings.Contains(reason, s.bucket) || lasts {
				t.Errorf("told of the failure: %v", d)
			}
		})
	}
}
