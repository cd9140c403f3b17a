package broadcast

import (
	"fmt"
	"math"

	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// storeDescription stores what the publisher sends as the session's ingest
// configuration.
func (f *Feed) storeDescription(d media.Description) error {
	one, all := ingestConfiguration(d)
	if err := f.b.m.Sessions.SetInputConfiguration(f.b.m.ctx, f.id, one, all); err != nil {
		return fmt.Errorf("store ingest configuration: %w", err)
	}
	return nil
}

// keepDescription stores the description in force if it has changed. This is
// done with a beat and at the end, so that a publisher who describes itself
// ten times a second is no burden.
func (f *Feed) keepDescription() {
	f.mu.Lock()
	d, unstored := f.described, f.unstored
	f.unstored = false
	f.mu.Unlock()
	if !unstored {
		return
	}
	if err := f.storeDescription(d); err != nil {
		f.log.Error("changed description cannot be stored", "error", err)
		f.mu.Lock()
		f.unstored = true
		f.mu.Unlock()
	}
}

// ingestConfiguration tells d in both forms of the API.
func ingestConfiguration(d media.Description) (*resource.InputConfiguration, *resource.InputConfigurations) {
	const track = "Track0"
	video := resource.VideoConfiguration{
		Codec: d.Video.Codec(), Encoder: d.Encoder, Level: d.Video.LevelName(), Profile: d.Video.ProfileName(),
		TargetBitrate: d.VideoBitrate, TargetFramerate: int(math.Round(d.NominalFrameRate())),
		Track: track, VideoHeight: d.Video.Height, VideoWidth: d.Video.Width,
	}
	one := &resource.InputConfiguration{Video: &video}
	all := &resource.InputConfigurations{Video: []resource.VideoConfiguration{video}, Audio: []resource.AudioConfiguration{}}
	video.AVCProfile, video.AVCLevel = video.Profile, video.Level
	if a := d.Audio; a != nil {
		one.Audio = &resource.AudioConfiguration{
			Channels: a.Channels, Codec: a.Codec(), SampleRate: a.SampleRate, TargetBitrate: d.AudioBitrate, Track: track,
		}
		all.Audio = append(all.Audio, *one.Audio)
	}
	return one, all
}
