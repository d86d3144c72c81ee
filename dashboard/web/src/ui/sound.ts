/** Two short notes for an alert, made here: no file to load, nothing to license. */

const NOTES_HZ = [880, 660];
const NOTE_S = 0.16;
const LOUDNESS = 0.12;

let context: AudioContext | null = null;

/** Browsers are silent until somebody has touched the page: then there is no sound, and no error. */
export function chime(): void {
  context ??= new AudioContext();
  const { currentTime } = context;
  NOTES_HZ.forEach((hz, i) => {
    if (!context) return;
    const tone = new OscillatorNode(context, { frequency: hz });
    const gain = new GainNode(context, { gain: 0 });
    const start = currentTime + i * NOTE_S;
    // Without a ramp it clicks.
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(LOUDNESS, start + 0.02);
    gain.gain.linearRampToValueAtTime(0, start + NOTE_S);
    tone.connect(gain).connect(context.destination);
    tone.start(start);
    tone.stop(start + NOTE_S);
  });
  context.resume().catch(() => undefined);
}
