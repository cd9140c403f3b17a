package stage

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/metrics"
	"anabranch/internal/rtc"
)

// A stage has its numbers while its session runs.
func TestObserve(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		host := w.onAir(w.token("host"))
		bob := w.token("bob")
		first := w.subscribe(bob, "host")
		flow := rtc.Flow{Packets: 100, Bytes: 125_000, Width: 720, Height: 1280}
		host.carry(rtc.Stats{Video: flow})
		first.carry(rtc.Stats{Video: flow, Audio: rtc.Flow{Packets: 100, Bytes: 12_500, Lost: 20}})
		time.Sleep(observation)
		synctest.Wait()
		host.carry(rtc.Stats{Video: rtc.Flow{Packets: 300, Bytes: 375_000, Width: 720, Height: 1280}})
		time.Sleep(observation)
		synctest.Wait()
		want := map[string]float64{
			"anabranch_stage_publishers":                              1,
			"anabranch_stage_subscribers":                             1,
			"anabranch_stage_publish_resolution_pixels":               720,
			"anabranch_stage_publish_bitrate_bits_per_second audio":   0,
			"anabranch_stage_publish_bitrate_bits_per_second video":   200_000,
			"anabranch_stage_subscribe_bitrate_bits_per_second audio": 0,
			"anabranch_stage_subscribe_bitrate_bits_per_second video": 0,
			"anabranch_stage_download_packet_loss_percent":            0,
		}
		if got := series(t); len(got) != len(want) {
			t.Errorf("got %v", got)
		}
		for name, got := range series(t) {
			if got != want[name] {
				t.Errorf("%s is %v, want %v", name, got, want[name])
			}
		}
		first.carry(rtc.Stats{Video: flow, Audio: rtc.Flow{Packets: 180, Bytes: 12_500, Lost: 40}})
		time.Sleep(observation)
		synctest.Wait()
		if got := series(t)["anabranch_stage_download_packet_loss_percent"]; got != 25 {
			t.Errorf("%v %% are lost, want 25", got)
		}
		host.Close(rtc.ErrHungUp)
		time.Sleep(2*absence + vacancy + observation)
		synctest.Wait()
		if got := series(t); len(got) != 0 {
			t.Errorf("behind the session: %v", got)
		}
	})
}

// series are the numbers of the stage, by name and media type.
func series(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name, is := f.GetName(), strings.HasPrefix(f.GetName(), "anabranch_stage_")
			for _, label := range m.GetLabel() {
				if label.GetName() == "media_type" {
					name += " " + label.GetValue()
				}
				is = is && (label.GetName() != "stage" || label.GetValue() == "hall")
			}
			if is {
				found[name] = m.GetGauge().GetValue()
			}
		}
	}
	return found
}
