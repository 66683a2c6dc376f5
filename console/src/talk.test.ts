import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { language, phrases, reason } from "./i18n";
import { TalkKey } from "./talk";

vi.hoisted(() =>
  Object.assign(globalThis, { localStorage: { getItem: () => "en", setItem: () => undefined }, document: { documentElement: {} } }),
);

class Socket {
  static OPEN = 1;
  static last: Socket;
  readyState = 1;
  sent: unknown[] = [];
  closed = false;
  onopen = () => {};
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  constructor(readonly url: string) {
    Socket.last = this;
  }
  send(what: unknown) {
    this.sent.push(what);
  }
  close() {
    this.closed = true;
  }
  say(word: unknown) {
    this.onmessage?.({ data: JSON.stringify(word) });
  }
}

const delivery = (state: string, reason = "") => ({ speaker: "s1", state, reason, detail: "", remarks: [] });
const broadcast = { id: "t1", open: true, deliveries: [delivery("queued")] };
const frame = new ArrayBuffer(640);

describe("a key to talk by", () => {
  let push: (pcm: ArrayBuffer) => void;
  let muted: number;
  let key: TalkKey;

  beforeEach(() => {
    vi.stubGlobal("WebSocket", Socket);
    vi.stubGlobal("location", { protocol: "https:", host: "city" });
    muted = 0;
    key = new TalkKey(
      () => ({ targets: { speakers: ["s1"] } }),
      async (hear) => {
        push = hear;
        return () => muted++;
      },
    );
  });
  afterEach(() => vi.unstubAllGlobals());

  const opened = async () => {
    key.press();
    await Promise.resolve();
    await Promise.resolve();
    Socket.last.onopen();
  };

  it("orders first, and sends frames only once it is taken", async () => {
    await opened();
    push(frame);
    Socket.last.say({ type: "accepted", broadcast });
    push(frame);
    expect(Socket.last.url).toBe("wss://city/v1/talk");
    expect(Socket.last.sent).toEqual(['{"targets":{"speakers":["s1"]}}', frame]);
    expect(key.stage.value).toBe("waiting");
    Socket.last.say({ type: "delivery", delivery: delivery("playing") });
    expect(key.stage.value).toBe("on-air");
  });

  it("says why it ends, and lets the microphone go", async () => {
    await opened();
    Socket.last.say({ type: "accepted", broadcast });
    key.release("lost-focus");
    expect(Socket.last.sent.at(-1)).toBe('{"end":"lost-focus"}');
    expect(muted).toBe(1);
    Socket.last.say({ type: "ended", reason: "lost-focus", reason_zh: "", reason_en: "", broadcast });
    expect(key.stage.value).toBe("off");
    expect(key.ending.value?.reason).toBe("lost-focus");
  });

  it("ends a talk that was let go before it was taken", async () => {
    await opened();
    key.release("released");
    Socket.last.say({ type: "accepted", broadcast });
    expect(Socket.last.sent.at(-1)).toBe('{"end":"released"}');
  });

  it("never opens a talk when the key was let go while the browser asked for the microphone", async () => {
    const before = Socket.last;
    key.press();
    key.release("released");
    await Promise.resolve();
    await Promise.resolve();
    expect(Socket.last).toBe(before);
    expect([key.stage.value, muted]).toEqual(["off", 1]);
  });

  it("shows a refusal and a broken connection at once", async () => {
    await opened();
    Socket.last.say({ type: "refused", problem: { type: "urn:city-gateway:problem:quiet-hours", detail: "quiet", hint: "later" } });
    expect(key.ending.value).toMatchObject({ reason: "quiet-hours", words: "quiet later", wrong: true });
    language.value = "zh";
    await opened();
    Socket.last.say({ type: "refused", problem: { type: "urn:city-gateway:problem:too-many-talks", detail: "50 people are speaking" } });
    expect(key.ending.value?.words).toBe("喊话人数已满，请稍后再试。");
    language.value = "en";
    await opened();
    Socket.last.say({ type: "accepted", broadcast });
    Socket.last.onclose?.();
    expect(key.ending.value).toMatchObject({ reason: "talk-lost", wrong: true });
    expect(muted).toBe(3);
  });
});

it("says a status that has no words of its own by the words for all of them", () => {
  phrases.value = { "sip-NNN": { zh: "设备以 SIP NNN 拒绝呼叫", en: "answers a call with SIP status NNN" } };
  expect(reason("sip-480")).toBe("answers a call with SIP status 480");
  expect(reason("rtsp-500")).toBe("rtsp-500");
  phrases.value = {};
});
