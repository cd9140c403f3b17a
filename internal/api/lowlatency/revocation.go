package lowlatency

import (
	"context"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/resource"
)

// viewerSession names the sessions of a viewer of a private channel.
type viewerSession struct {
	ChannelARN resource.ARN `json:"channelArn" shape:"ChannelArn,required"`
	ViewerID   string       `json:"viewerId" shape:"ViewerId,required"`
	// Version counts with all below it.
	Version int `json:"viewerSessionVersionsLessThanOrEqualTo" shape:"ViewerSessionVersion"`
}

func (v *viewerSession) revocation(at time.Time) resource.Revocation {
	return resource.Revocation{ChannelARN: v.ChannelARN, ViewerID: v.ViewerID, Version: int64(v.Version), At: at}
}

// startViewerSessionRevocation answers when the revocation is stored; players
// notice soon after.
func (s *service) startViewerSessionRevocation(ctx context.Context, in *viewerSession) (*api.None, error) {
	if _, err := s.Store.Channel(ctx, in.ChannelARN); err != nil {
		return nil, err
	}
	return &api.None{}, s.Store.Revoke(ctx, []resource.Revocation{in.revocation(time.Now())})
}

type batchStartViewerSessionRevocationRequest struct {
	ViewerSessions []viewerSession `json:"viewerSessions" shape:"BatchStartViewerSessionRevocationViewerSessionList,required"`
}

type batchStartViewerSessionRevocationResponse struct {
	Errors []viewerSessionError `json:"errors"`
}

// viewerSessionError says why one viewer of a batch was not revoked.
type viewerSessionError struct {
	ChannelARN resource.ARN `json:"channelArn"`
	ViewerID   string       `json:"viewerId"`
	Code       string       `json:"code"`
	Message    string       `json:"message"`
}

func (s *service) batchStartViewerSessionRevocation(ctx context.Context, in *batchStartViewerSessionRevocationRequest) (*batchStartViewerSessionRevocationResponse, error) {
	found, err := s.Store.Channels(ctx, api.Tell(in.ViewerSessions, func(v *viewerSession) resource.ARN { return v.ChannelARN }))
	if err != nil {
		return nil, err
	}
	known := make(map[resource.ARN]bool, len(found))
	for _, ch := range found {
		known[ch.ARN] = true
	}
	now := time.Now()
	var revoked []resource.Revocation
	missing := []viewerSessionError{}
	for _, v := range in.ViewerSessions {
		if known[v.ChannelARN] {
			revoked = append(revoked, v.revocation(now))
			continue
		}
		missing = append(missing, viewerSessionError{v.ChannelARN, v.ViewerID, "404", resource.NotFoundError(v.ChannelARN).Error()})
	}
	if err := s.Store.Revoke(ctx, revoked); err != nil {
		return nil, err
	}
	return &batchStartViewerSessionRevocationResponse{missing}, nil
}
