package packager

import (
	"encoding/binary"
	"time"

	"anabranch/internal/media"
)

// appendSpliceInsert appends a splice_info_section (SCTE 35 §9.6) with a
// splice_insert command (§9.7.3): out leaves the network for d, to return by
// itself, else the network is returned to. It counts at once, for what carries
// it tells where; event is the same in both.
func appendSpliceInsert(dst []byte, event uint32, out bool, d time.Duration) []byte {
	start := len(dst)
	length := byte(10) // of the command
	flags := byte(0x5F)
	if out {
		length, flags = 15, 0xFF
	}
	dst = append(dst,
		0xFC, 0x30, 17+length, // table_id, sap_type, section_length
		0, 0, 0, 0, 0, 0, 0, // protocol_version, no encryption, pts_adjustment, cw_index
		0xFF, 0xF0, length, // tier, splice_command_length
		0x05) // splice_command_type
	dst = binary.BigEndian.AppendUint32(dst, event)
	// out_of_network_indicator, program_splice_flag, duration_flag and
	// splice_immediate_flag begin the second byte.
	dst = append(dst, 0x7F, flags)
	if out {
		ticks := uint64(media.TicksOf(d, media.VideoRate))
		dst = append(dst, 0xFE|byte(ticks>>32)&1) // auto_return
		dst = binary.BigEndian.AppendUint32(dst, uint32(ticks))
	}
	dst = append(dst,
		0, 1, 0, 0, // unique_program_id, avail_num, avails_expected
		0, 0) // descriptor_loop_length
	return binary.BigEndian.AppendUint32(dst, crc32MPEG(dst[start:]))
}
