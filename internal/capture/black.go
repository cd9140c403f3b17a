package capture

import (
	"encoding/base64"
	"encoding/binary"
	"slices"

	"anabranch/internal/media"
)

// black is a black picture of 640×360, for participants that publish none. It was
// made by
//
//	ffmpeg -f lavfi -i color=black:s=640x360:r=1 -frames:v 1 -c:v libx264 -profile:v main \
//	  -pix_fmt yuv420p -x264-params keyint=1:no-deblock=1 -bsf:v filter_units=remove_types=6 black.h264
//
// and is its sequence parameter set, picture parameter set and IDR picture.
var black = [...]string{
	"Z01AFtwKAv+XARAAAAMAEAAAAwAg8WL4",
	"aO4PLIA=",
	"ZYiEBKv+963fgU3DKzVrulc4tMurlDQ9UfaUpni2SAAAAwAAAwAAD/DNvp9RFdeXpgAAAwB+ABHAWYLWHUFwGoHeKCOoUwgBAAADAAADAAADAAADAAADAAFv",
}

// blackStill is black as it goes on.
var blackStill = func() still {
	var units [len(black)][]byte
	var payload []byte
	for i, text := range black {
		unit, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			panic(err)
		}
		units[i] = unit
		payload = append(binary.BigEndian.AppendUint32(payload, uint32(len(unit))), unit...)
	}
	params, err := media.ParseH264(units[0], units[1])
	if err != nil {
		panic(err)
	}
	return still{params: params, payload: slices.Clip(payload)}
}()
