// Whether the files at hand are exactly one whole package, unaltered since it was signed. The same rules as `gatewayctl footage verify`.

const FORMAT = "city-gateway-evidence/1";
const ALGORITHMS = { digest: "sha-256", signature: "ecdsa-p256-sha256", signature_encoding: "der", certificate: "x509-pem" };
const SECOND = { digest: "sm3", signature: "sm2-sm3", signature_encoding: "der", public_key: "spki-pem", signer_id: "1234567812345678" };
const MANIFEST = "manifest.json";
const CERTIFICATE = "certificate.pem";
const SUMS = "SHA256SUMS";
const SIGNED = [SUMS, MANIFEST];
const signatureOf = name => `${name}.sig`;
const LISTED = [CERTIFICATE, "VERIFY.txt", "verify.html"];
const PAPERS = ["custody-sheet.html", "evidence-list.html"];
const SECOND_PROOF = ["SM3SUMS", "SM3SUMS.sig"]; // of the second signature; digests are compared, SM2 itself is openssl's to check
const PROOF = [...SIGNED, ...SIGNED.map(signatureOf), ...LISTED, ...PAPERS];
const LARGEST = { [MANIFEST]: 64 << 20, [SUMS]: 64 << 20, [`${MANIFEST}.sig`]: 256, [`${SUMS}.sig`]: 256, [CERTIFICATE]: 64 << 10 };
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

const KNOWN = ["format", "algorithms", "certificate_sha256", "request", "tool", "made_at",
  "case", "people", "requested", "cameras", "imported", "documents", "custody", "package"];

// Why something is no package as it was signed: a key of WORDS, and the file if it is a certain one.
class Refused extends Error {
  constructor(why, name = "") {
    super(why);
    this.why = why;
    this.name = name;
  }
}

// `files`: name → {blob, crc?}; `hash(blob, crc wanted, name)` → {sha256, crc} or {error}.
// → {altered: [{name, why}], files: [{name, size, sha256}], fingerprint, manifest}; the last two are missing when nothing fits.
// That the fingerprint is the signer's is another matter: see `judged`.
async function verify(files, hash) {
  let read;
  try {
    read = await readProof(files);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { altered: [{ name: error.name, why: error.why }], files: [] };
  }
  const { proof, listed } = read;
  const papers = read.manifest.get("algorithms").has("second") ? [...PAPERS, ...SECOND_PROOF] : PAPERS;
  const expected = new Set([...PROOF, ...papers, ...listed.map(({ name }) => name)]);
  const altered = [...files.keys()].filter(name => !expected.has(name)).sort().map(name => ({ name, why: "added" }));
  const digests = new Map();
  const lines = textOf(proof.get(SUMS)).split("\n");
  for (const file of [...listed, ...papers.map(name => ({ name }))]) {
    const why = await fault(files, file, lines, digests, hash);
    if (why) altered.push({ name: file.name, why });
  }
  for (const name of [MANIFEST, signatureOf(MANIFEST)]) digests.set(name, await digestOf(proof.get(name)));
  if (!altered.length && sumsOf(digests) !== textOf(proof.get(SUMS))) altered.push({ name: SUMS, why: "other-sums" });
  const printed = papers.filter(name => digests.has(name)).map(name => ({ name, size: files.get(name).blob.size, sha256: digests.get(name) }));
  return { altered, files: [...listed, ...printed], fingerprint: read.fingerprint, manifest: read.manifest };
}

// `result` in the light of the fingerprint that came by another way: "altered", "unaltered" when none came, "verified".
function judged(result, trusted) {
  const wanted = trusted.replace(/[:\s]/g, "").toLowerCase();
  if (result.altered.length) return { verdict: "altered", altered: result.altered };
  if (!wanted) return { verdict: "unaltered", altered: [] };
  if (wanted !== result.fingerprint) return { verdict: "altered", altered: [{ name: CERTIFICATE, why: "untrusted" }] };
  return { verdict: "verified", altered: [] };
}

async function readProof(files) {
  const proof = new Map();
  for (const name of Object.keys(LARGEST)) proof.set(name, await small(files, name));
  const { key, fingerprint } = await about(CERTIFICATE, () => readCertificate(proof.get(CERTIFICATE)));
  for (const name of SIGNED) await checkSignature(key, proof, name);
  const manifest = await about(MANIFEST, () => readManifest(proof.get(MANIFEST)));
  if (manifest.get("certificate_sha256") !== fingerprint) throw new Refused("other-certificate", CERTIFICATE);
  return { proof, fingerprint, manifest, listed: listedIn(manifest) };
}

async function about(name, act) {
  try {
    return await act();
  } catch (error) {
    throw error instanceof Refused ? new Refused(error.why, name) : error;
  }
}

async function small(files, name) {
  const file = files.get(name);
  if (!file) throw new Refused("missing", name);
  if (file.blob.size > LARGEST[name]) throw new Refused("too-large", name);
  try {
    return new Uint8Array(await file.blob.arrayBuffer());
  } catch {
    throw new Refused("unreadable", name);
  }
}

async function checkSignature(key, proof, name) {
  const signature = proof.get(signatureOf(name));
  if (!lower(signature)) throw new Refused("other-writing", signatureOf(name));
  if (!(await fits(key, signature, proof.get(name)))) throw new Refused("signature", name);
}

function readManifest(bytes) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refused("no-json");
  }
  const found = strictJson(text);
  const named = found instanceof Map ? found.get("algorithms") : undefined;
  const first = named instanceof Map ? new Map([...named].filter(([use]) => use !== "second")) : undefined;
  const known = same(first, ALGORITHMS) && (named.size === first.size || same(named.get("second"), SECOND));
  if (!known || found.get("format") !== FORMAT) throw new Refused("format");
  return found;
}

function same(named, known) {
  const uses = Object.entries(known);
  return named instanceof Map && named.size === uses.length && uses.every(([use, name]) => named.get(use) === name);
}

// The files that the manifest lists, each once and with a harmless name.
function listedIn(manifest) {
  listOf(manifest, "cameras").forEach(camera => listOf(camera, "files"));
  const beside = listOf(manifest, "package").map(entryOf);
  const files = [...filesIn(manifest).map(entryOf), ...beside];
  const folded = new Set(files.map(({ name }) => name.toLowerCase()));
  const wrong = !LISTED.every(name => beside.some(file => file.name === name));
  const itself = PROOF.some(name => !LISTED.includes(name) && folded.has(name.toLowerCase()));
  if (wrong || itself || folded.size !== files.length) throw new Refused("list", MANIFEST);
  return files;
}

// Whatever stands under the key "files", wherever that is.
function filesIn(part) {
  if (Array.isArray(part)) return part.flatMap(filesIn);
  if (!(part instanceof Map)) return [];
  return [...part].flatMap(([key, inner]) => (key === "files" ? listOf(part, key) : filesIn(inner)));
}

function listOf(value, key) {
  const found = value instanceof Map ? value.get(key) : undefined;
  if (!Array.isArray(found)) throw new Refused("list", MANIFEST);
  return found;
}

function entryOf(value) {
  const [name, size, sha256] = ["name", "size", "sha256"].map(key => (value instanceof Map ? value.get(key) : undefined));
  const right = typeof name === "string" && NAME.test(name) && Number.isSafeInteger(size) && size >= 0;
  if (!right || typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) throw new Refused("list", MANIFEST);
  return { name, size, sha256 };
}

// What is wrong with a file, "" when nothing is. A paper has no size and digest in the manifest, but a line in SHA256SUMS.
async function fault(files, { name, size, sha256 }, lines, digests, hash) {
  const file = files.get(name);
  if (!file) return "missing";
  if (size !== undefined && file.blob.size !== size) return "size";
  const found = await hash(file.blob, file.crc !== undefined, name);
  if (found.error) return "unreadable";
  digests.set(name, found.sha256);
  const same = sha256 === undefined ? lines.includes(`${found.sha256} *${name}`) : found.sha256 === sha256;
  return same && (file.crc === undefined || file.crc === found.crc) ? "" : "content";
}

const textOf = bytes => new TextDecoder("latin1").decode(bytes);
const sumsOf = digests => [...digests.keys()].sort().map(name => `${digests.get(name)} *${name}\n`).join("");
