package broadcast

import (
	"context"
	"errors"
	"fmt"
	"time"

	"anabranch/internal/metrics"
	"anabranch/internal/resource"
)

// Request is a publisher's wish to go on air.
type Request struct {
	Key        string // the stream key, a secret
	Protocol   string // "RTMP" or "RTMPS"
	Secure     bool   // it came over TLS
	RemoteAddr string
}

// The codes of a refusal, as RTMP's onStatus tells them.
const (
	CodeBadName  = "NetStream.Publish.BadName"  // the channel is taken
	CodeRejected = "NetStream.Publish.Rejected" // the key is wrong, or this stream is not allowed; OBS does not try again
	CodeFailed   = "NetStream.Publish.Failed"   // the stream was ended
)

// Refused says why a publisher is turned away or sent off. Its text is meant
// for them.
type Refused struct {
	Code   string // one of the codes above
	Reason string
	breach *resource.LimitBreachDetail // told when the stream ends; nil unless it was over a limit
}

func (r *Refused) Error() string { return r.Reason }

// Publish lets a publisher on air. It may take as long as the hold of a
// second connection, 2.5 s. The error of a refusal is a *[Refused].
//
// A refusal that concerns a known channel is told in an event, too.
func (m *Manager) Publish(ctx context.Context, req Request) (*Feed, error) {
	channel, err := m.Sessions.ChannelByStreamKey(ctx, req.Key)
	if kindOf(err) == resource.NotFound {
		return nil, m.refuse(ctx, resource.Channel{}, req, &Refused{Code: CodeRejected, Reason: "the stream key is not valid"})
	}
	if err != nil {
		return nil, fmt.Errorf("find channel of stream key: %w", err)
	}
	if !req.Secure && !channel.InsecureIngest {
		return nil, m.refuse(ctx, channel, req, &Refused{Code: CodeRejected, Reason: "the channel takes encrypted streams only: use RTMPS, or set insecureIngest"})
	}
	b, err := m.broadcast(channel)
	if err != nil {
		return nil, m.refuse(ctx, channel, req, err)
	}
	f := newFeed(b)
	if err := f.open(ctx, req); err != nil {
		f.end(err, "")
		return nil, m.refuse(ctx, channel, req, err)
	}
	return f, nil
}

// refuse logs and tells a refusal, and returns the error for the publisher. It
// does so once a second for each channel, and for all wrong keys together, as
// anybody can have as many refusals as they like.
func (m *Manager) refuse(ctx context.Context, ch resource.Channel, req Request, err error) error {
	var refused *Refused
	if !errors.As(err, &refused) {
		switch kindOf(err) {
		case resource.NotFound:
			refused = &Refused{Code: CodeRejected, Reason: "the stream key is not valid"}
		case resource.QuotaExceeded:
			refused = &Refused{
				Code: CodeRejected, Reason: fmt.Sprintf("%d streams are on air, as many as may be", m.MaxStreams),
				breach: &resource.LimitBreachDetail{
					LimitName: resource.ConcurrentBroadcasts, LimitValue: int64(m.MaxStreams), ExceededBy: 1,
					LimitUnit: resource.ActiveStreams, ChannelName: ch.Name,
				},
			}
		default:
			return err
		}
	}
	metrics.PublishersRefused.WithLabelValues(refused.Code).Inc()
	if !m.mayTell(ch.ID()) {
		return refused
	}
	m.Log.Warn("publisher refused", "channel", ch.ID(), "protocol", req.Protocol, "remote", req.RemoteAddr,
		"code", refused.Code, "reason", refused.Reason)
	if ch.ARN == "" {
		return refused
	}
	failure := resource.Event{
		DetailType: resource.StreamStateChange, Time: resource.Time(time.Now()), Resource: ch.ARN,
		Detail: resource.StreamStateDetail{EventName: resource.StreamFailure, ChannelName: ch.Name, Reason: refused.Reason},
	}
	err = m.Sessions.AppendEvent(ctx, failure)
	if err == nil && refused.breach != nil {
		metrics.LimitBreaches.WithLabelValues(refused.breach.LimitName).Inc()
		failure.DetailType, failure.Detail = resource.LimitBreach, refused.breach
		err = m.Sessions.AppendEvent(ctx, failure)
	}
	if err != nil {
		m.Log.Error("refusal cannot be told", "channel", ch.ID(), "error", err)
	}
	return refused
}

// mayTell says whether a refusal is the first of its second.
func (m *Manager) mayTell(channelID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if last, ok := m.refused[channelID]; ok && now.Sub(last) < time.Second {
		return false
	}
	m.refused[channelID] = now
	return true
}
