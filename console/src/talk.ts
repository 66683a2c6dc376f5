// A live talk from this browser's microphone: opened by pressing a key, heard in the street while it is held, ended by whatever ends it.
import { signal } from "@preact/signals";
import { refusal, type Values } from "./i18n";
import type { Broadcast, Delivery, SayOrder } from "./voice";

export type Stage = "off" | "opening" | "waiting" | "on-air" | "ending";

export interface Level {
  rms_db: number;
  peak_db: number;
  clipping: boolean;
  silent: boolean;
  on_air_s: number | null;
}

export interface Ending {
  reason: string;
  words: string;
  wrong: boolean;
  broadcast: Broadcast | null;
}

type Word =
  | { type: "accepted"; broadcast: Broadcast }
  | { type: "delivery"; delivery: Delivery }
  | ({ type: "level" } & Level)
  | { type: "ended"; reason: string; reason_zh: string; reason_en: string; broadcast: Broadcast }
  | { type: "refused"; problem: { type: string; detail: string; hint?: string; values?: Values } };

const RATE = 16_000;
const ASKED = ["released"];

/** How to hear a microphone: the only part that needs the browser's sound. */
export async function listen(frame: (pcm: ArrayBuffer) => void): Promise<() => void> {
  const sound = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });
  const context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  const close = () => {
    for (const track of sound.getTracks()) track.stop();
    void context.close();
  };
  try {
    await context.audioWorklet.addModule("./microphone.js");
    const frames = new AudioWorkletNode(context, "frames", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    frames.port.onmessage = (message: MessageEvent<ArrayBuffer>) => frame(message.data);
    context.createMediaStreamSource(sound).connect(frames);
    return close;
  } catch (error) {
    close();
    throw error;
  }
}

/** One key to talk by. What there is to see of it are its signals. */
export class TalkKey {
  readonly stage = signal<Stage>("off");
  readonly level = signal<Level | null>(null);
  readonly broadcast = signal<Broadcast | null>(null);
  readonly ending = signal<Ending | null>(null);
  private socket: WebSocket | null = null;
  private mute: (() => void) | null = null;
  private released: string | null = null;

  constructor(
    private readonly order: () => SayOrder,
    private readonly hear: typeof listen = listen,
  ) {}

  /** Begin, unless a talk is under way. */
  press(): void {
    if (this.stage.value !== "off") return;
    this.stage.value = "opening";
    this.released = this.ending.value = this.level.value = this.broadcast.value = null;
    void this.open();
  }

  /** First the microphone, for which somebody may have to be asked; then the talk, which must not wait for it. */
  private async open(): Promise<void> {
    try {
      this.mute = await this.hear((pcm) => {
        if (this.accepted && this.socket?.readyState === WebSocket.OPEN) this.socket.send(pcm);
      });
    } catch (error) {
      this.over({ reason: "no-microphone", words: String((error as Error).message), wrong: true, broadcast: null });
      return;
    }
    if (this.released === null) this.connect();
    else this.over({ reason: this.released, words: "", wrong: false, broadcast: null });
  }

  private connect(): void {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/talk`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify(this.order()));
    socket.onmessage = (message: MessageEvent<string>) => this.take(JSON.parse(message.data) as Word);
    socket.onclose = () => this.over({ reason: "talk-lost", words: "", wrong: true, broadcast: this.broadcast.value });
    this.socket = socket;
  }

  /** Let go, because the key was (`released`) or because nobody looks at the page any more (`lost-focus`). */
  release(why: "released" | "lost-focus"): void {
    if (this.stage.value === "off" || this.released !== null) return;
    this.released = why;
    this.hush();
    if (!this.accepted) return;
    this.end();
    this.stage.value = "ending";
  }

  private get accepted(): boolean {
    return this.stage.value !== "off" && this.stage.value !== "opening";
  }

  private take(word: Word): void {
    switch (word.type) {
      case "accepted":
        this.broadcast.value = word.broadcast;
        this.stage.value = "waiting";
        if (this.released !== null) this.end();
        break;
      case "delivery":
        this.change(word.delivery);
        break;
      case "level":
        this.level.value = word;
        break;
      case "ended":
        this.over({ reason: word.reason, words: "", wrong: !ASKED.includes(word.reason), broadcast: word.broadcast });
        break;
      case "refused": {
        const code = word.problem.type.split(":").pop()!;
        this.over({ reason: code, words: refusal(code, word.problem.detail, word.problem.hint, word.problem.values), wrong: true, broadcast: null });
        break;
      }
    }
  }

  private change(delivery: Delivery): void {
    const known = this.broadcast.value;
    if (known === null) return;
    const others = known.deliveries.filter((one) => one.speaker !== delivery.speaker);
    this.broadcast.value = { ...known, deliveries: [...others, delivery].sort((a, b) => (a.speaker < b.speaker ? -1 : 1)) };
    if (this.stage.value === "waiting" && delivery.state === "playing") this.stage.value = "on-air";
  }

  private end(): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ end: this.released }));
  }

  private hush(): void {
    this.mute?.();
    this.mute = null;
  }

  private over(ending: Ending): void {
    if (this.stage.value === "off") return;
    this.hush();
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.onclose = socket.onmessage = null;
    socket?.close();
    this.stage.value = "off";
    if (ending.broadcast !== null) this.broadcast.value = ending.broadcast;
    this.ending.value = ending;
  }
}
