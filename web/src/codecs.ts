import { StageError } from './errors.js';

/**
 * Has a transceiver offer H.264 alone, which is what stages carry, with its retransmissions. The packetization that
 * everybody understands comes first.
 */
export function preferH264(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const single = (codec: RTCRtpCodec): boolean => codec.sdpFmtpLine?.includes('packetization-mode=1') ?? false;
  const h264 = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === 'video/h264');
  if (h264.length === 0) throw new StageError('UNSUPPORTED', 'this browser has no H.264');
  const rtx = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === 'video/rtx');
  transceiver.setCodecPreferences([...h264.filter(single), ...h264.filter((codec) => !single(codec)), ...rtx]);
}
