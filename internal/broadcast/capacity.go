package broadcast

import (
	"anabranch/internal/metrics"
	"anabranch/internal/transcode"
)

// plan is the ladder that f's channel and tracks ask for, as far as there is
// room for another stream that is transcoded. The error is a *[Refused].
func (b *Broadcast) plan(f *Feed) (transcode.Plan, error) {
	alone := transcode.Plan{Source: true}
	if b.m.Transcode == nil || b.m.Transcode.Capacity() == 0 {
		return alone, nil
	}
	ch := &f.session.Channel
	plan := transcode.PlanOf(ch.Type, ch.Preset, f.described.Params, f.described.NominalFrameRate())
	if len(plan.Rungs) == 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.giveBack()
		return plan, nil
	}
	if b.reserve() {
		return plan, nil
	}
	metrics.TranscodeOverflows.Inc()
	if b.m.RefuseOverflow {
		return plan, &Refused{Code: CodeRejected, Reason: "as many streams are transcoded as may be"}
	}
	f.log.Warn("as many streams are transcoded as may be: this one has its source alone", "type", ch.Type)
	return alone, nil
}

// reserve takes a place among the streams that are transcoded, unless b has one
// already. It keeps it until its windows close, so that nobody else gets it while
// the publisher is away for a moment.
func (b *Broadcast) reserve() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.place != nil {
		return true
	}
	release, ok := b.m.Transcode.Acquire()
	if ok {
		b.place = release
	}
	return ok
}

// giveBack gives up the place among the streams that are transcoded. b.mu is held.
func (b *Broadcast) giveBack() {
	if b.place != nil {
		b.place()
		b.place = nil
	}
}
