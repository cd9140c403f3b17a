package broadcast

import (
	"context"
	"errors"
	"fmt"
	"time"

	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// InsertAdBreak lets an ad break of so many seconds begin in a channel's
// playlist, with the next segment that begins with a key frame, and returns its
// id. It is NotBroadcasting when the channel has no stream that can be played, a
// Conflict while another break is under way.
func (m *Manager) InsertAdBreak(ctx context.Context, channel resource.ARN, seconds int) (id string, err error) {
	f := m.feed(channel)
	if f == nil {
		return "", resource.NotBroadcastingError(channel)
	}
	return f.insertAdBreak(ctx, channel, seconds)
}

// insertAdBreak stores the event before the break can begin: who sees the break
// can be sure of it.
func (f *Feed) insertAdBreak(ctx context.Context, channel resource.ARN, seconds int) (id string, err error) {
	f.inserting.Lock()
	defer f.inserting.Unlock()
	f.mu.Lock()
	window, live := f.window, f.live.Load() && !f.closed
	f.mu.Unlock()
	switch {
	case !live:
		return "", resource.NotBroadcastingError(channel)
	case window.InAdBreak():
		return "", adBreakConflict(channel)
	}
	id = resource.NewID()
	err = f.b.m.Sessions.AppendEvent(ctx, resource.Event{
		DetailType: resource.AdBreakStateChange, Time: resource.Time(time.Now()), Resource: channel, StreamID: f.id,
		Detail: resource.AdBreakDetail{
			EventName: resource.AdBreakInserted, ChannelName: f.session.Channel.Name, StreamID: f.id,
			AdBreakID: id, DurationSeconds: seconds, TargetStartTime: resource.Time(window.NextSegment()),
		},
	})
	if err != nil {
		return "", fmt.Errorf("tell %s: %w", resource.AdBreakInserted, err)
	}
	switch err := window.InsertAdBreak(id, time.Duration(seconds)*time.Second); {
	case errors.Is(err, packager.ErrInAdBreak): // another stream's, for this one ended meanwhile
		return "", adBreakConflict(channel)
	case err != nil:
		return "", err
	}
	f.log.Info("ad break inserted", "break", id, "seconds", seconds)
	return id, nil
}

func adBreakConflict(channel resource.ARN) error {
	return resource.Errorf(resource.Conflict, "Channel: %s is in an ad break already", channel)
}

// postRoll is how long the ad break is that follows a channel's broadcast, 0 for
// none. One that cannot be read is left out: the stream matters more.
func (m *Manager) postRoll(ctx context.Context, ch *resource.Channel) time.Duration {
	if ch.AdConfigurationARN == "" {
		return 0
	}
	c, err := m.Sessions.AdConfiguration(ctx, ch.AdConfigurationARN)
	if err != nil {
		m.Log.Error("ad configuration cannot be read", "channel", ch.ID(), "error", err)
		return 0
	}
	if !c.PostRoll.Enabled {
		return 0
	}
	return time.Duration(c.PostRoll.DurationSeconds) * time.Second
}

// endPlaylists ends the playlists, with an ad break of a length if there is to be
// one, and gives up the place among the streams that are transcoded.
func (b *Broadcast) endPlaylists(postRoll time.Duration) {
	b.giveBack()
	lead := b.windows.lead
	end := lead.End
	if postRoll > 0 {
		end = func() error { return lead.EndWithAd(resource.NewID(), postRoll) }
	}
	err := errors.Join(end(), b.windows.others(func(w *packager.Window) error { return w.EndWith(lead) }))
	if err != nil {
		b.log.Error("live playlist cannot be ended", "error", err)
	}
}
