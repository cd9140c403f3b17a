package recordings

import (
	"context"
	"time"

	"anabranch/internal/audit"
	"anabranch/internal/resource"
)

// maxAudits is how many recordings are verified at a time.
const maxAudits = 2

type verifyRequest struct {
	ID   string `json:"id" shape:"RecordingId,required,path"`
	Deep bool   `json:"deep" shape:",query"` // read the media, too
}

type verifyResponse struct {
	Verified   bool                `json:"verified"`
	Objects    int                 `json:"objects"`
	Bytes      int64               `json:"bytes"`
	Duration   float64             `json:"duration"` // of what the playlist names, in seconds
	Renditions []verifiedRendition `json:"renditions"`
	Thumbnails int                 `json:"thumbnails"`
	Problems   []audit.Problem     `json:"problems"` // the first of them
}

// verifiedRendition tells of one rendition. That it has holes is no problem, nor
// that some of what a participant sent did not arrive.
type verifiedRendition struct {
	Name         string  `json:"name"`
	Bytes        int64   `json:"bytes"`
	Absent       float64 `json:"absent"`       // seconds that lie in holes
	LostSound    float64 `json:"lostSound"`    // seconds, with silence instead
	LostPictures float64 `json:"lostPictures"` // seconds, with a still picture instead
}

// verify says what is wrong with a recording. Where its state changes meanwhile
// it looks again.
func (s *Server) verify(ctx context.Context, in *verifyRequest) (*verifyResponse, error) {
	if !s.audits.TryAcquire(1) {
		return nil, resource.Errorf(resource.ServiceUnavailable, "%d recordings are being verified; try again later", maxAudits)
	}
	defer s.audits.Release(1)
	r, err := s.Store.Recording(ctx, in.ID)
	for {
		if err != nil {
			return nil, err
		}
		subject := audit.Recording{Recording: r}
		stored, open := s.Spool.Stored(r.ID)
		subject.Open, subject.Stored = open, make(map[string][]audit.Object)
		for _, o := range stored {
			subject.Stored[o.Rendition] = append(subject.Stored[o.Rendition], audit.Object{
				Name: o.Name, Size: o.Size, Duration: o.Duration, Time: o.Time, Discontinuity: o.Discontinuity, Gap: o.Size == 0,
			})
		}
		report, err := audit.Run(ctx, s.Objects, subject, in.Deep)
		if err != nil {
			s.Log.Warn("recording cannot be verified", "recording", r.ID, "error", err)
			return nil, resource.Errorf(resource.ServiceUnavailable, "bucket %s cannot be read now; the server's log says why", r.Bucket)
		}
		was := r.State
		if r, err = s.Store.Recording(ctx, in.ID); err == nil && r.State != was {
			continue
		}
		out := &verifyResponse{
			Verified: len(report.Problems) == 0, Objects: report.Objects, Bytes: report.Bytes,
			Duration: seconds(report.Duration), Renditions: []verifiedRendition{}, Thumbnails: report.Thumbnails,
			Problems: append([]audit.Problem{}, report.Problems...),
		}
		for _, r := range report.Renditions {
			out.Renditions = append(out.Renditions, verifiedRendition{r.Name, r.Bytes, seconds(r.Absent), seconds(r.LostSound), seconds(r.LostPictures)})
		}
		return out, err
	}
}

// seconds is d to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
