// The page: takes files from a folder, a choice or a drop, and shows what came of them. Whatever a package says is only ever text.

const $ = id => document.getElementById(id);
const worker = new Worker(URL.createObjectURL(new Blob([$("hasher").textContent], { type: "text/javascript" })));
let latest; // the last result
let runs = 0; // a choice made meanwhile makes the one before it void

function both(pair) {
  const [chinese, english] = ["zh", "en"].map((language, i) => made("span", pair[i], language));
  english.lang = "en";
  const whole = made("span");
  whole.append(chinese, " ", english);
  return whole;
}

function made(tag, text = "", kind = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function row(...cells) {
  const line = made("tr");
  for (const cell of cells) {
    const box = made("td");
    box.append(cell);
    line.append(box);
  }
  return line;
}

function say(id, ...parts) {
  $(id).replaceChildren(...parts);
}

// SHA-256 of a blob by the second thread, one after the other, telling how far it is.
function hashed(tell) {
  return (blob, crc, name) =>
    new Promise(done => {
      worker.onmessage = ({ data }) => ("done" in data ? tell(name, data.done, blob.size) : done(data));
      worker.postMessage({ blob, crc });
    });
}

async function check(files) {
  const run = ++runs;
  latest = undefined;
  document.body.dataset.verdict = "working";
  const waiting = queue.then(() => (run === runs ? checked(files) : undefined));
  queue = waiting.catch(() => undefined);
  const result = await waiting;
  if (run !== runs) return;
  latest = result;
  show();
}

let queue = Promise.resolve();

async function checked(files) {
  say("about");
  say("files");
  try {
    return await verify(await opened(files), hashed(tellProgress));
  } catch (error) {
    const known = error instanceof Refused;
    return { altered: [{ name: known ? error.name || nameOf(files) : "", why: known ? error.why : "broken" }], files: [] };
  }
}

const nameOf = files => [...files.keys()][0] ?? "";

// One ZIP is opened; anything else is the package itself.
async function opened(files) {
  const [first] = files;
  const one = files.size === 1 && first[0].toLowerCase().endsWith(".zip");
  return one ? readArchive(first[1].blob) : files;
}

function tellProgress(name, done, size) {
  say("verdict", both(WORDS.working), made("span", ` ${name} ${Math.floor((100 * done) / Math.max(1, size))} %`));
}

function show() {
  if (!latest) return;
  const { verdict, altered } = judged(latest, $("fingerprint").value);
  say("verdict", both(WORDS[verdict]));
  say("about", ...facts(latest));
  const wrong = new Set(altered.map(({ name }) => name));
  const bad = altered.map(({ name, why }) => row(name, "", both(WHYS[why])));
  bad.forEach(line => line.classList.add("bad"));
  const good = latest.files.filter(({ name }) => !altered.length || (latest.manifest && !wrong.has(name)));
  const heads = row(both(WORDS.file), both(WORDS.bytes), both(WORDS.reason));
  const fine = good.map(({ name, size, sha256 }) => row(name, size.toLocaleString("en"), sumOf(sha256)));
  say("files", heads, ...bad, ...fine);
  document.body.dataset.verdict = verdict;
}

function sumOf(sha256) {
  const cell = both(WORDS.right);
  cell.append(made("code", sha256));
  return cell;
}

function facts({ manifest, fingerprint }) {
  if (!manifest) return [];
  const read = (...path) => path.reduce((value, key) => (value instanceof Map ? value.get(key) : undefined), manifest);
  const told = [
    [WORDS.shown, fingerprint.toUpperCase().match(/../g).join(":")],
    [WORDS.request, read("request")],
    [WORDS.case, read("case", "case_number")],
    [WORDS.requester, read("people", "requester")],
    [WORDS.unit, read("people", "unit")],
    [WORDS.period, `${beijing(read("requested", "start"))} – ${beijing(read("requested", "end"))}`],
    [WORDS.made, beijing(read("made_at"))],
    ...(read("algorithms", "second") ? [[WORDS.second, WORDS.secondUnread.join(" ")]] : []),
    ...(read("cameras") ?? []).flatMap(camera => cameraFacts(camera)),
    ...(read("imported") ?? []).flatMap(file => importFacts(file)),
    ...unexplained([...manifest.keys()].filter(key => !KNOWN.includes(key))),
  ];
  return told.flatMap(([words, value]) => {
    const name = made("dt");
    name.append(both(words));
    return [name, made("dd", String(value ?? "–"))];
  });
}

function cameraFacts(camera) {
  if (!(camera instanceof Map)) return [];
  const offset = camera.get("clock_offset_s");
  const shown = offset === null ? WORDS.unmeasured.join(" ") : typeof offset === "number" ? offset : offset?.text;
  const told = [[WORDS.device, `${camera.get("camera")} · ${camera.get("recorder")} · ${camera.get("serial")}`], [WORDS.offset, shown]];
  const files = listOf(camera, "files").filter(file => file instanceof Map);
  const carded = files.filter(file => file.get("source") === "card" && file.get("device") !== camera.get("recorder"));
  if (carded.length) told.push([WORDS.card, carded.map(file => `${file.get("name")} · ${file.get("serial")}`).join("; ")]);
  for (const [words, key] of [[WORDS.silent, "sound_left_out"], [WORDS.refusedSound, "sound_refused"]]) {
    const silent = files.filter(file => file.get(key));
    if (silent.length) told.push([words, silent.map(file => `${file.get("name")} · ${file.get(key)}`).join("; ")]);
  }
  const doubled = files.filter(file => file.get("device_time_doubled")?.length > 0);
  if (doubled.length) told.push([WORDS.doubled, doubled.map(file => file.get("name")).join("; ")]);
  const reckoned = files.filter(file => file.get("time_source") === "reckoned");
  if (reckoned.length) told.push([WORDS.reckoned, reckoned.map(file => file.get("name")).join("; ")]);
  const gaps = Array.isArray(camera.get("gaps")) ? camera.get("gaps").filter(gap => gap instanceof Map) : [];
  return gaps.length ? [...told, [WORDS.gaps, gaps.map(gap => `${beijing(gap.get("start"))} – ${beijing(gap.get("end"))}`).join("; ")]] : told;
}

// A file that somebody brought: what is said of it, nothing of which the gateway measured.
function importFacts(file) {
  if (!(file instanceof Map)) return [];
  const names = listOf(file, "files").map(entryOf).map(({ name }) => name);
  return [[WORDS.imported, `${names.join(", ")} · ${file.get("device")} · ${file.get("client")}`]];
}

// Parts that a later version added.
function unexplained(keys) {
  return keys.length ? [[WORDS.more, keys.sort().join(", ")]] : [];
}

// A moment as Beijing has it (+08:00, no summer time).
function beijing(moment) {
  const at = Date.parse(moment);
  if (Number.isNaN(at)) return "–";
  return new Date(at + 8 * 3_600_000).toISOString().replace("T", " ").slice(0, 19) + " +08:00";
}

// -- where files come from

function fromChoice(list) {
  const files = [...list].filter(Boolean);
  return new Map(files.map(file => [withoutTop(file.webkitRelativePath) || file.name, { blob: file }]));
}

const withoutTop = path => path.split("/").slice(1).join("/");

// A dropped folder is read by handles: Chromium gives a page from the disk nothing by the older entries.
async function fromDrop(transfer) {
  const items = [...transfer.items].filter(({ kind }) => kind === "file");
  const folders = items.some(item => item.webkitGetAsEntry?.()?.isDirectory);
  if (!folders) return fromChoice(transfer.files);
  const asked = items.map(item => item.getAsFileSystemHandle()); // all at once: the drop holds them no longer than its event
  const handles = await Promise.all(asked);
  const found = new Map();
  for (const handle of handles) await walk(handle, handles.length === 1 ? "" : handle.name, found); // the one that was dropped is the package
  return found;
}

async function walk(handle, path, found) {
  if (handle.kind === "file") {
    found.set(path || handle.name, { blob: await handle.getFile() });
    return;
  }
  if (path) found.set(`${path}/`, { blob: new Blob() }); // an empty folder, too, does not belong there
  for await (const inner of handle.values()) await walk(inner, path ? `${path}/${inner.name}` : inner.name, found);
}

// That a folder could not be read says nothing about it.
function unread() {
  runs++;
  latest = undefined;
  say("about");
  say("files");
  say("verdict", both(WORDS.unread));
  document.body.dataset.verdict = "unread";
}

function begin() {
  for (const element of document.querySelectorAll("[data-say]")) element.append(both(WORDS[element.dataset.say]));
  if (!globalThis.crypto?.subtle) {
    say("verdict", both(WORDS.insecure));
    document.body.dataset.verdict = "unread";
    return;
  }
  for (const id of ["chosen-folder", "chosen-files"]) {
    $(id).addEventListener("change", ({ target }) => target.files.length && check(fromChoice(target.files)));
    $(id).addEventListener("click", ({ target }) => (target.value = ""));
  }
  $("fingerprint").addEventListener("input", show);
  const drop = $("drop");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    window.addEventListener(kind, event => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
    });
  }
  window.addEventListener("drop", async event => {
    let files;
    try {
      files = await fromDrop(event.dataTransfer);
    } catch {
      unread();
      return;
    }
    await check(files);
  });
}

begin();
