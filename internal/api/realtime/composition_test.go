package realtime_test

import (
	"strings"
	"testing"

	"anabranch/internal/api/apitest"
	"anabranch/internal/resource"
)

// Compositions and replication are not there: what starts one is checked like
// any other call, and refused with a clear answer at last; what looks for one
// finds none.
func TestNotThereYet(t *testing.T) {
	f := newFixture(t)
	stage, other := *f.stage(nil).Stage.Arn, *f.stage(nil).Stage.Arn
	none := string(apitest.Place.ARN(resource.KindStage, "none"))
	composition := func(stage, layout, destinations string) string {
		return `{"stageArn":"` + stage + `","layout":{` + layout + `},"destinations":[` + destinations + `]}`
	}
	replication := func(from, to string) string {
		return `{"sourceStageArn":"` + from + `","destinationStageArn":"` + to + `","participantId":"ana"}`
	}
	for _, tt := range []struct{ operation, body, want string }{
		{"StartComposition", composition(stage, aGrid, toAChannel+`,`+toS3), `NotImplementedException: StartComposition is not implemented by this server`},
		{"StartComposition", composition(stage, aPiP, toS3), `NotImplementedException: .*`},
		{"StartComposition", composition(stage, ``, toS3), `NotImplementedException: .*`},
		{"StartComposition", composition(stage, aGrid+`,`+aPiP, toS3), `ValidationException: layout: must be either grid or pip`},
		{"StartComposition", composition(stage, aGrid, toS3+`,{"name":"nowhere"}`), `ValidationException: destinations\[1\]: must be either channel or s3`},
		{"StartComposition", composition(stage, aGrid, strings.TrimSuffix(toS3, `}`)+`,`+strings.TrimPrefix(toAChannel, `{`)),
			`ValidationException: destinations\[0\]: must be either channel or s3`},
		{"StartComposition", composition(none, aGrid, toS3), `ResourceNotFoundException: .*` + none + `.*`},
		{"GetComposition", `{"arn":` + aComposition + `}`, `ResourceNotFoundException: .*composition/AbCdEfGhIjKl.*`},
		{"StopComposition", `{"arn":` + aComposition + `}`, `ResourceNotFoundException: .*composition/AbCdEfGhIjKl.*`},

		{"StartParticipantReplication", replication(stage, other), `NotImplementedException: StartParticipantReplication is not implemented by this server`},
		{"StartParticipantReplication", replication(stage, stage), `ValidationException: destinationStageArn: .*`},
		{"StartParticipantReplication", replication(none, stage), `ResourceNotFoundException: .*` + none + `.*`},
		{"StartParticipantReplication", replication(stage, none), `ResourceNotFoundException: .*` + none + `.*`},
		{"StopParticipantReplication", replication(stage, other), `ResourceNotFoundException: participant ana of .* is not replicated to .*`},
	} {
		f.refused(tt.operation, tt.body, tt.want)
	}
	same(t, "ListCompositions", f.post("ListCompositions", `{"filterByStageArn":"`+stage+`"}`), `{"compositions":[]}`)
	same(t, "ListParticipantReplicas", f.post("ListParticipantReplicas", `{"sourceStageArn":"`+stage+`","participantId":"ana"}`), `{"replicas":[]}`)
}

// Every kind of resource has tags, at the path that all share.
func TestTags(t *testing.T) {
	f := newFixture(t)
	for _, tt := range []struct{ operation, body, noun, get string }{
		{"CreateStage", ``, "stage", "GetStage"},
		{"ImportPublicKey", `"publicKeyMaterial":` + f.newPublicKey() + `,`, "publicKey", "GetPublicKey"},
		{"CreateIngestConfiguration", `"ingestProtocol":"RTMPS",`, "ingestConfiguration", "GetIngestConfiguration"},
		{"CreateEncoderConfiguration", ``, "encoderConfiguration", "GetEncoderConfiguration"},
		{"CreateStorageConfiguration", `"s3":{"bucketName":"bucket"},`, "storageConfiguration", "GetStorageConfiguration"},
	} {
		arn := apitest.Object(f.post(tt.operation, `{`+tt.body+`"tags":{"a":"1","b":"2"}}`), tt.noun)["arn"].(string)
		path := "/tags/" + strings.ReplaceAll(arn, "/", "%2F")
		for _, call := range [][2]string{{"POST" + path, `{"tags":{"a":"3","é":""}}`}, {"DELETE" + path + "?tagKeys=b", ``}} {
			method, target, _ := strings.Cut(call[0], "/")
			if status, _, answer := f.Send(method, "/"+target, call[1]); status != 200 || len(answer) > 0 {
				t.Errorf("%s: %d %v", call[0], status, answer)
			}
		}
		_, _, answer := f.Send("GET", path, ``)
		same(t, tt.noun, answer, `{"tags":{"a":"3","é":""}}`)
		same(t, tt.noun, apitest.Object(f.post(tt.get, `{"arn":"`+arn+`"}`), tt.noun)["tags"], `{"a":"3","é":""}`)
	}
}
