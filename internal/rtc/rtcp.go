package rtc

import "github.com/pion/rtcp"

// parseRTCP reads a compound packet's reports and what they ask for, and passes over
// everything else: transport-wide feedback alone can have a packet of 2,000 bytes
// speak of millions of others, and nobody here is to be told of any. What is broken
// makes all of it worth nothing.
func parseRTCP(b []byte) (packets []rtcp.Packet) {
	for len(b) > 0 {
		var h rtcp.Header
		if h.Unmarshal(b) != nil || 4*(int(h.Length)+1) > len(b) {
			return nil
		}
		one := b[:4*(int(h.Length)+1)]
		b = b[len(one):]
		if p := ofType(h); p != nil {
			if p.Unmarshal(one) != nil {
				return nil
			}
			packets = append(packets, p)
		}
	}
	return packets
}

// ofType is an empty packet of the type that a header tells; nil for those that
// nobody reads.
func ofType(h rtcp.Header) rtcp.Packet {
	switch h.Type {
	case rtcp.TypeSenderReport:
		return new(rtcp.SenderReport)
	case rtcp.TypeReceiverReport:
		return new(rtcp.ReceiverReport)
	case rtcp.TypeTransportSpecificFeedback:
		if h.Count == rtcp.FormatTLN {
			return new(rtcp.TransportLayerNack)
		}
	case rtcp.TypePayloadSpecificFeedback:
		switch h.Count {
		case rtcp.FormatPLI:
			return new(rtcp.PictureLossIndication)
		case rtcp.FormatFIR:
			return new(rtcp.FullIntraRequest)
		}
	}
	return nil
}
