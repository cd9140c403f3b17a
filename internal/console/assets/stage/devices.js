// Microphone, camera and screen of who is here. Each is a track, or null while
// it is off; a device that is off is not used at all, and its light is out.

const ideal = { // of stages, which take 720p
  microphone: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  camera: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } },
  screen: { width: { max: 1280 }, height: { max: 720 }, frameRate: { max: 30 } },
};

export class Devices {
  microphone = null;
  camera = null;
  screen = null;
  chosen = { microphone: '', camera: '' }; // device ids; '' leaves it to the browser
  #ended; // called when one was ended from outside

  constructor(ended) { this.#ended = ended; }

  // Browsers have devices for secure pages alone.
  static available() { return Boolean(navigator.mediaDevices?.getUserMedia); }
  static canShareScreen() { return Boolean(navigator.mediaDevices?.getDisplayMedia); } // phones cannot

  // What is to be sent. A screen is shown in the place of the camera.
  get audio() { return this.microphone; }
  get video() { return this.screen ?? this.camera; }
  get tracks() { return [this.audio, this.video].filter(Boolean); }

  // Turns a device on, or anew where it is on.
  async open(name) {
    const want = { ...ideal[name], ...(this.chosen[name] ? { deviceId: { exact: this.chosen[name] } } : {}) };
    const stream = name === 'screen' ? await navigator.mediaDevices.getDisplayMedia({ video: want })
      : await navigator.mediaDevices.getUserMedia(name === 'camera' ? { video: want } : { audio: want });
    const [track] = stream.getTracks();
    if (name === 'screen') track.contentHint = 'detail'; // letters stay sharp
    this.close(name);
    this[name] = track;
    track.addEventListener('ended', () => {
      if (this[name] !== track) return;
      this[name] = null;
      this.#ended(name);
    });
  }

  close(name) {
    const track = this[name];
    this[name] = null;
    track?.stop();
  }

  closeAll() { for (const name of Object.keys(ideal)) this.close(name); }

  // The devices that can be chosen. They have names once one of them is on.
  async list() {
    const all = await navigator.mediaDevices.enumerateDevices();
    const of = (kind) => all.filter((d) => d.kind === kind && d.deviceId).map(({ deviceId, label }) => ({ id: deviceId, label }));
    return { microphone: of('audioinput'), camera: of('videoinput') };
  }
}
