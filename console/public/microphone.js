// The microphone's sound as the gateway takes it: frames of 20 ms, signed 16 bit. It runs beside the page, in the sound's own thread.
const FRAME = 320; // samples at 16 kHz

class Frames extends AudioWorkletProcessor {
  frame = new Int16Array(FRAME);
  filled = 0;

  process([input]) {
    for (const sample of input?.[0] ?? []) {
      this.frame[this.filled++] = Math.max(-1, Math.min(1, sample)) * 32767;
      if (this.filled < FRAME) continue;
      this.port.postMessage(this.frame.buffer, [this.frame.buffer]);
      this.frame = new Int16Array(FRAME);
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("frames", Frames);
